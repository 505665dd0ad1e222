import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { FakeTwins } from '#pipeline/routing/select/batches-fixture.ts'
import { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type TwinChange, twinEventEnvelope } from '#schemas/twin-event.ts'
import { followTwinChanges } from './twin-changes.ts'

describe('changes of twins that are told', () => {
  let log: MemoryLog
  let known: FakeTwins
  let twins: SenderTwins
  let stop: () => Promise<void>
  let sequence = 0

  beforeEach(() => {
    log = new MemoryLog({ store: new MemoryStore('penstock.twin-events', 1) })
    known = new FakeTwins()
    twins = new SenderTwins({ reader: known, clock: systemClock, ageMsMax: 60_000 })
    stop = followTwinChanges({ log, twins, clock: systemClock, logger: silentLogger })
  })

  afterEach(() => stop())

  async function tell(...changes: readonly Partial<TwinChange>[]): Promise<void> {
    const messages = changes.map((change) => {
      const whole = { deviceId: 'd', moduleId: undefined, id: '1', opType: 'updateTwin', atMs: 1, body: '{}' } as const
      return { bytes: envelopeBytes(twinEventEnvelope({ ...whole, ...change }, 'hub', 1)) }
    })
    const times = { enqueuedAtMsFirst: 1, enqueuedAtMsLast: 1 }
    const stamp = { schemaVersion: 1, edgeId: 'c', epoch: 1, sequence: sequence++, messageCount: messages.length }
    await log.append(0, { ...stamp, ...times }, batchFromMessages(messages))
  }

  /** Follows, and has read what these senders have. */
  async function following(...senders: readonly string[]): Promise<void> {
    twins.indexOf(['tags', 'site'])
    const missed = vi.spyOn(twins, 'missed')
    await expect.poll(() => missed.mock.calls.length).toBeGreaterThan(0)
    await twins.load(senders)
  }

  test('make a router read those twins again, and no others', async () => {
    await following('d', 'd/m', 'other', 'replaced')
    await tell(
      { moduleId: 'm', body: '{"tags":{"Site":"y"}}' },
      { body: '{"properties":{"reported":{"site":1}}}' },
      { deviceId: 'replaced', opType: 'replaceTwin', body: '{"tags":{}}' },
      { deviceId: 'last', body: 'no JSON' },
    )
    await expect.poll(() => twins.find('replaced')).toBeUndefined()
    expect(twins.find('d/m')).toBeUndefined()
    expect([twins.find('d'), twins.find('other')]).toEqual([[undefined], [undefined]])
  })

  test('that could not be heard for a while make it read all of them again', async () => {
    await following('d', 'other')
    const read = vi.spyOn(log, 'read').mockRejectedValueOnce(new PenstockError('LOG_UNAVAILABLE', 'away'))
    await expect.poll(() => twins.find('d')).toBeUndefined()
    expect(twins.find('other')).toBeUndefined()
    read.mockRestore()
    await twins.load(['d'])
    await tell({ body: '{"tags":{"site":"z"}}' })
    await expect.poll(() => twins.find('d')).toBeUndefined()
  })

  test('are not looked for while no route asks for twins', async () => {
    const ranges = vi.spyOn(log, 'ranges')
    await tell({ body: '{"tags":{"site":"z"}}' })
    await stop()
    expect(ranges).not.toHaveBeenCalled()
  })
})
