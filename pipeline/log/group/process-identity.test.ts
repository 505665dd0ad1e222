import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { isProcessGone, processIdentity } from './process-identity.ts'

const parts = () => processIdentity().split('|') as [place: string, pid: string, start: string]

test('this process is not gone, and says where it is, which one, and since when', () => {
  const [place, pid, start] = parts()
  expect([place === '', Number(pid), Number(start) > 0]).toEqual([false, process.pid, true])
  expect(isProcessGone(processIdentity())).toBe(false)
})

test('one that has ended is gone, and so is one whose id has another process now', async () => {
  const [place, pid, start] = parts()
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  expect(isProcessGone(`${place}|${child.pid}|${start}`)).toBe(true)
  expect(isProcessGone(`${place}|${pid}|${Number(start) + 1}`)).toBe(true)
})

test('nothing is said of a process that cannot be known from here', () => {
  const [place, pid, start] = parts()
  for (const identity of [
    `elsewhere|${pid}|1`,
    `${place}x|${pid}|1`,
    `${place}|${pid}|`,
    `${place}|0|${start}`,
    `${place}|-1|${start}`,
    `${place}|x|${start}`,
    '',
  ])
    expect(isProcessGone(identity), identity).toBe(false)
})
