import { afterEach, expect, test, vi } from 'vitest'
import { readTables } from './sql-names.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** As a server that has taken a request, and says nothing. */
function silent(_path: string, { signal }: RequestInit): Promise<Response> {
  return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
}

test('tables that ClickHouse does not tell of for some seconds are given up, with the reason', async () => {
  vi.useFakeTimers()
  vi.stubGlobal('fetch', silent)
  const asked = expect(readTables(new AbortController().signal)).rejects.toThrow('ClickHouse does not answer')
  await vi.advanceTimersByTimeAsync(10_000)
  await asked
})

test('tables that a screen does not wait for any more are no fault of ClickHouse', async () => {
  vi.useFakeTimers()
  vi.stubGlobal('fetch', silent)
  const left = new AbortController()
  const asked = expect(readTables(left.signal)).rejects.toThrow('screen left')
  left.abort(new Error('screen left'))
  await asked
  expect(vi.getTimerCount()).toBe(0)
})
