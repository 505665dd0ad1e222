import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { getPriority } from 'node:os'
import { expect, onTestFinished, test } from 'vitest'
import { lowerPriority } from './lower-priority.ts'

test('a process gets the nice value, and one that is nicer already keeps its own', () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  onTestFinished(() => void child.kill('SIGKILL'))
  const pid = child.pid as number
  expect(lowerPriority(pid, 11)).toBeUndefined()
  expect(getPriority(pid)).toBe(11)
  expect(lowerPriority(pid, 8)).toBeUndefined()
  expect(getPriority(pid)).toBe(11)
})

test('one that has ended is a reason, not an error', async () => {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  expect(lowerPriority(child.pid as number, 8)).toMatchObject({ code: 'ERR_SYSTEM_ERROR' })
})
