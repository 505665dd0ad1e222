import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, onTestFinished, test } from 'vitest'

const module = new URL('./process-end.ts', import.meta.url).href

/** How a process ends that runs these statements. */
async function endOf(statements: string): Promise<unknown[]> {
  const script = `import { endWithoutDestructors, killAfter } from ${JSON.stringify(module)}\n${statements}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' })
  onTestFinished(() => void child.kill('SIGKILL'))
  return await once(child, 'exit')
}

describe('without destructors a process keeps its exit code', () => {
  test.each([
    ['it has nothing left to do', '', 0],
    ['it has nothing left to do and a code', 'process.exitCode = 3', 3],
    ['it is told to', 'setInterval(() => {}, 1000); process.exit(4)', 4],
    ['nobody catches an error', 'process.stderr.write = () => true; throw new Error("uncaught")', 1],
  ])('where %s', async (_case, statements, code) => {
    expect(await endOf(`endWithoutDestructors(); ${statements}`)).toEqual([code, null])
  })

  test('and those who heard of its end before were heard', async () => {
    const listener = 'process.on("exit", () => { process.exitCode = 7 })'
    expect(await endOf(`${listener}; endWithoutDestructors()`)).toEqual([7, null])
  })
})

describe('a process that is to be killed after some time', () => {
  test('is, though its main thread stands still', async () => {
    expect(await endOf('killAfter(100); for (;;);')).toEqual([null, 'SIGKILL'])
  })

  test('may end before', async () => {
    expect(await endOf('killAfter(600_000)')).toEqual([0, null])
  })
})
