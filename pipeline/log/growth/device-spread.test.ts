import { expect, onTestFinished, test, vi } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
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
