import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import {
  commandWordsOf,
  memoryBytesOf,
  openFilesLimit,
  parentOf,
  processIds,
  procLink,
  procText,
  statFieldsOf,
  statusBytesOf,
} from './proc.ts'

describe.skipIf(process.platform !== 'linux')('/proc', () => {
  test('a child is seen with its parent and its words, and no more once it is gone', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1_000)', 'two words', 'Küche'])
    const pid = child.pid ?? 0
    await once(child, 'spawn')
    expect(processIds()).toContain(pid)
    expect([parentOf(pid), commandWordsOf(pid).slice(-2)]).toEqual([process.pid, ['two words', 'Küche']])
    expect(statusBytesOf(process.pid, 'VmRSS')).toBeGreaterThan(1024 * 1024)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect([parentOf(pid), commandWordsOf(pid), statFieldsOf(pid), statusBytesOf(pid, 'VmRSS')]).toEqual([
      ...[undefined, [], [], 0],
    ])
  })

  test('the machine has memory and a limit of open files', () => {
    expect(memoryBytesOf('MemTotal')).toBeGreaterThan(64 * 1024 * 1024)
    expect(openFilesLimit()).toMatch(/^(\d+|unlimited)$/)
    expect(procLink('self/exe')).toContain('node')
  })
})

test('what is not there is not known', () => {
  expect([procText('self/nothing'), procLink('self/nothing'), memoryBytesOf('Nothing')]).toEqual([
    ...[undefined, undefined, 0],
  ])
})
