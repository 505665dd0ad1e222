import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { clickhouseRows } from '#loadtest/observe/clickhouse-rows.ts'
import { LoadView } from './load-view.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const nowhere = clickhouseRows('http://127.0.0.1:1', 'a.b')
const progress = (settled: number) => ({ offered: settled, sent: settled, settled, open: 1 })
const minuteMs = 60_000

test('a wait for acknowledgements goes on as long as they come, and ends when they stand still', async () => {
  const load = new LoadView(nowhere)
  const waiting = load.untilAcknowledged(100)
  const told = vi.fn()
  waiting.catch(told)
  for (let settled = 1; settled <= 20; settled++) {
    load.update(progress(settled))
    await vi.advanceTimersByTimeAsync(minuteMs)
  }
  expect(told).not.toHaveBeenCalled()
  load.end()
  await vi.advanceTimersByTimeAsync(1_000)
  vi.useRealTimers()
  await expect(waiting).rejects.toMatchObject({ code: 'LOADTEST_SCENARIO_STALLED' })
})

test('what does not come about is given up', async () => {
  const load = new LoadView(nowhere)
  const reached = load.reached(() => false, 5 * minuteMs)
  await vi.advanceTimersByTimeAsync(6 * minuteMs)
  expect(await reached).toBe(false)
})

test('acknowledgements count as stopped after so many reports without one', async () => {
  const load = new LoadView(nowhere)
  let isStill = false
  void load.untilStill(3).then(() => {
    isStill = true
  })
  for (const settled of [1, 2, 2, 2]) load.update(progress(settled))
  await vi.advanceTimersByTimeAsync(1_000)
  expect(isStill).toBe(false)
  load.update(progress(2))
  await vi.advanceTimersByTimeAsync(1_000)
  expect(isStill).toBe(true)
})
