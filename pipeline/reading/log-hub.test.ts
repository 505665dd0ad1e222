import { expect, test, vi } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { LogHub } from './log-hub.ts'
import { sequenceOf } from './reading.ts'
import { RecordShelf } from './record-shelf.ts'

/** A hub over a log in memory; what is shown of a record is its bytes. */
function hubOver(store = new MemoryStore('penstock.telemetry', 1)) {
  const clock = virtualClock(1_700_000_000_000)
  const log = new MemoryLog({ store })
  const view = {
    revision: 0,
    show: async (value: Uint8Array) => ({ blocks: [Buffer.from(value)], indexes: undefined, edition: 0 }),
  }
  const hub = new LogHub({ log, name: 'hub', shelf: new RecordShelf(), view, clock, logger: silentLogger })
  let sequence = 0
  const append = async (...texts: readonly string[]) => {
    for (const text of texts) {
      const stamp = {
        ...{ schemaVersion: 1, edgeId: 'e', epoch: 1, sequence: sequence++, messageCount: 1 },
        ...{ enqueuedAtMsFirst: 1, enqueuedAtMsLast: 1 },
      }
      await log.append(0, stamp, Buffer.from(text))
    }
  }
  const textAt = async (offset: number) => (await hub.recordAt(0, offset))?.blocks.join()
  return { store, hub, clock, append, textAt }
}

test('of a log that was made anew readers get what lies there now, not what lay under the same offsets', async () => {
  const { store, hub, append, textAt } = hubOver()
  await append('a', 'b')
  await hub.find(0, { from: 'oldest' })
  expect([await textAt(0), await textAt(1)]).toEqual(['a', 'b'])
  store.makeAnew()
  await append('c', 'd', 'e')
  expect(await hub.find(0, { from: 'oldest' })).toMatchObject({ sequence: 0 })
  expect([await textAt(0), await textAt(1), await textAt(2)]).toEqual(['c', 'd', 'e'])
})

test('a reader that waits behind the end of a log that was made anew is called, and told that its position is gone', async () => {
  const { store, hub, clock, append, textAt } = hubOver()
  await append('a', 'b')
  await hub.find(0, { from: 'latest' })
  expect(await textAt(2)).toBeUndefined()
  const called = vi.fn()
  hub.onRecord(0, 2, called)
  store.makeAnew()
  await append('c')
  clock.step()
  await expect.poll(() => called.mock.calls.length).toBe(1)
  await expect(textAt(2)).rejects.toMatchObject({ code: 'READING_POSITION_INVALID' })
  expect(await hub.find(0, { from: 'latest' })).toMatchObject({ sequence: sequenceOf(1, 0) })
})

test('an end that lies back for a moment, of the same log, ends no reader', async () => {
  const { hub, append, textAt } = hubOver()
  await append('a')
  await hub.find(0, { from: 'oldest' })
  expect(await textAt(5)).toBeUndefined()
})
