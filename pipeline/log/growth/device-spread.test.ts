import { expect, onTestFinished, test, vi } from 'vitest'
import type { LogRecord } from '#pipeline/log/log.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { DeviceSpread } from './device-spread.ts'

test('a log that is made anew while it is followed, and grows then, is seen to grow', async () => {
  const telemetry = new MemoryStore('penstock.telemetry', 2)
  const journal = new MemoryStore('penstock.partitions', 1)
  const clock = virtualClock(0)
  const open = async (by: string): Promise<DeviceSpread> => {
    const log = new MemoryLog({ store: telemetry, clock })
    const options = { log, journal: new MemoryLog({ store: journal, clock }), clock, logger: silentLogger }
    const spread = await DeviceSpread.open(options, by)
    onTestFinished(() => spread.close())
    return spread
  }
  const edge = await open('edge')
  const before = await open('a command')
  await before.write({ kind: 'planned', from: 2, to: 4 })
  await before.write({ kind: 'held', to: 4 })
  await edge.look()
  expect(edge.hold?.to).toBe(4)
  telemetry.makeAnew()
  const after = await open('a command')
  await after.write({ kind: 'planned', from: 2, to: 6 })
  await edge.look()
  expect([edge.count, edge.hold]).toEqual([2, undefined])
  const hold = await after.write({ kind: 'held', to: 6 })
  await edge.look()
  expect(edge.hold?.number).toBe(hold)
})

test('however many partitions wait for a look, there is one under way and one behind it', async () => {
  const clock = virtualClock(0)
  const journal = new MemoryLog({ store: new MemoryStore('penstock.partitions', 1), clock })
  const log = new MemoryLog({ store: new MemoryStore('penstock.telemetry', 2), clock })
  const spread = await DeviceSpread.open({ log, journal, clock, logger: silentLogger }, 'edge')
  onTestFinished(() => spread.close())
  const read = vi.spyOn(journal, 'read')
  const under = spread.look()
  await Promise.resolve()
  const behind = Array.from({ length: 100 }, () => spread.look())
  await spread.write({ kind: 'planned', from: 2, to: 4 })
  await Promise.all([under, ...behind])
  // Each reads on until there is nothing more.
  expect(read.mock.calls.length).toBeLessThanOrEqual(4)
})

test('while the journal cannot be read, as many partitions as before tell that nothing is held', async () => {
  const clock = virtualClock(0)
  const telemetry = new MemoryStore('penstock.telemetry', 2)
  const journal = new MemoryLog({ store: new MemoryStore('penstock.partitions', 1), clock })
  const spread = await DeviceSpread.open(
    { log: new MemoryLog({ store: telemetry, clock }), journal, clock, logger: silentLogger },
    'edge',
  )
  onTestFinished(() => spread.close())
  const pass = async (ms: number) => {
    for (const untilMs = clock.nowMs() + ms; clock.step(untilMs); )
      await new Promise((resolve) => setImmediate(resolve))
  }
  // A broker that is away answers neither yes nor no.
  let refuse = (_: Error) => {}
  const away = new Promise<LogRecord[]>((_, reject) => {
    refuse = reject
  })
  vi.spyOn(journal, 'read').mockReturnValue(away)
  spread.watch()
  onTestFinished(() => refuse(new PenstockError('LOG_UNAVAILABLE', 'it stays away')))
  await pass(10 * limits.growthLeaseMs)
  expect(spread.isCertain()).toBe(true)
  expect(await spread.counts(0, 5, 2, () => false)).toBe(true)

  await new MemoryLog({ store: telemetry, clock }).grow(4)
  const counted = spread.counts(0, 5, 2, () => true)
  await pass(2 * limits.growthLeaseMs)
  expect(spread.isCertain()).toBe(false)
  expect(await spread.counts(0, 5, 2, () => true)).toBe(false)
  await counted
})
