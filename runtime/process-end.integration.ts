import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'

const module = new URL('./process-end.ts', import.meta.url).href

/** How a process ends that runs these statements, and what it says. */
async function endOf(statements: string, ...args: string[]): Promise<{ end: unknown[]; said: string }> {
  const script = `import { endWithoutDestructors, killAfter } from ${JSON.stringify(module)}\n${statements}`
  const child = spawn(process.execPath, [...args, '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [end, said] = await Promise.all([once(child, 'exit'), text(child.stderr)])
  return { end, said }
}

/** As where the package koffi is not installed. */
const withoutLibrary = `data:text/javascript,${encodeURIComponent(
  'import module from "node:module"; const load = module._load;' +
    'module._load = (name, ...rest) => { if (name === "koffi") throw new Error(name); return load(name, ...rest) }',
)}`

describe.each([
  ['', []],
  [', and without the C library,', ['--import', withoutLibrary]],
])('without destructors%s a process keeps its exit code', (_case, args) => {
  test.each([
    ['it has nothing left to do', '', 0],
    ['it has nothing left to do and a code', 'process.exitCode = 3', 3],
    ['its code is a text', 'process.exitCode = "3"', 3],
    ['it is told to', 'setInterval(() => {}, 1000); process.exit(4)', 4],
    ['something that it waits for never comes', 'await new Promise(() => {})', 13],
  ])('where %s', async (_case, statements, code) => {
    expect((await endOf(`endWithoutDestructors(); ${statements}`, ...args)).end).toEqual([code, null])
  })

  test.each([
    ['an error', 'throw new Error("why it ends")'],
    ['a later error', 'setTimeout(() => { throw new Error("why it ends") })'],
    ['a rejection', 'Promise.reject(new Error("why it ends"))'],
    ['an error that is none', 'setTimeout(() => { throw "why it ends" })'],
  ])('where nobody catches %s, and says so', async (_case, statements) => {
    const { end, said } = await endOf(`endWithoutDestructors(); process.exitCode = 0; ${statements}`, ...args)
    expect(end).toEqual([1, null])
    expect(said.split('why it ends')).toHaveLength(2)
  })

  test('and those who heard of its end before were heard', async () => {
    const listener = 'process.on("exit", () => { process.exitCode = 7 })'
    expect((await endOf(`${listener}; endWithoutDestructors()`, ...args)).end).toEqual([7, null])
  })

  test('and nobody holds it up who comes later', async () => {
    const listener = 'process.on("exit", () => { for (;;); })'
    expect((await endOf(`endWithoutDestructors(); ${listener}`, ...args)).end).toEqual([0, null])
  })
})

test('an error that somebody catches is said by nobody, and ends nothing', async () => {
  const caught = 'process.on("uncaughtException", () => { process.exitCode = 5 })'
  const statements = `endWithoutDestructors(); ${caught}; setTimeout(() => { throw new Error("caught") })`
  expect(await endOf(statements)).toEqual({ end: [5, null], said: '' })
})

test('another thread cannot end its process in this way', async () => {
  const thread = `import(${JSON.stringify(module)}).then((own) => own.endWithoutDestructors())`
  const statements = `const { Worker } = await import("node:worker_threads")
    const thread = new Worker(${JSON.stringify(thread)}, { eval: true })
    thread.on("error", () => {}); thread.on("exit", () => process.exit(6))`
  expect((await endOf(statements)).end).toEqual([6, null])
})

describe('a process that is to be killed after some time', () => {
  /** Everything that is asked of it here but another thread. */
  const permitted = ['--permission', '--allow-fs-read=*', '--allow-addons', '--allow-child-process']

  test('is, though its main thread stands still', async () => {
    expect((await endOf('killAfter(100); for (;;);')).end).toEqual([null, 'SIGKILL'])
  })

  test('is, though it can have no other thread', async () => {
    expect((await endOf('killAfter(100); setInterval(() => {}, 1000)', ...permitted)).end).toEqual([null, 'SIGKILL'])
  })

  test.each([
    ['', []],
    [', by the thread that it has', permitted],
  ])('may be spared%s', async (_case, args) => {
    // Whoever begins later and takes longer ends after it would have been killed.
    const program = 'import("node:timers/promises").then((timers) => timers.setTimeout(2_000))'
    const later = `spawn(process.execPath, ["--eval", ${JSON.stringify(program)}]).on("exit", () => process.exit(3))`
    const statements = `import { spawn } from "node:child_process"
      const spare = killAfter(1_000); await spare(); ${later}`
    expect((await endOf(statements, ...args)).end).toEqual([3, null])
  })

  test('may end before', async () => {
    expect((await endOf('killAfter(600_000)')).end).toEqual([0, null])
  })
})
