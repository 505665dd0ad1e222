import { describe, expect, test, vi } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { walkLog } from '#pipeline/reading/log-walk.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { listDeadLetters } from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { bytesFromLetter } from '#schemas/dead-letter.ts'
import { isVerified, renderVerdicts, verify } from './verify.ts'

/** A log of ten batches whose reads, from offset `silentFrom` on, are answered with nothing `emptyReads` times each. */
async function logWithSilence(silentFrom: number, emptyReads: number) {
  const store = new MemoryStore('t', 1)
  const log = new MemoryLog({ store })
  for (let sequence = 0; sequence < 10; sequence++) {
    const times = { enqueuedAtMsFirst: 5, enqueuedAtMsLast: 5 }
    const stamp = { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence, messageCount: 1, ...times }
    const letter = { topic: 't', partition: 0, offset: sequence, messageFirst: 0, text: '', atMs: 5, messageCount: 1 }
    const value = bytesFromLetter({ ...letter, reason: 'BATCH_CORRUPT', bytes: new Uint8Array() })
    await log.append(0, stamp, value)
  }
  store.positions.set('g 0', { offset: 10, metadata: '' })
  const read = log.read.bind(log)
  let silent = 0
  log.read = async (partition, offset) => {
    if (offset >= silentFrom && silent++ < emptyReads) return []
    silent = 0
    return (await read(partition, offset, 1)).slice(0, 1)
  }
  return log
}

/** As if every batch were one row, each stored by an insert of its own. */
const warehouse = {
  query: async (statement: string) =>
    statement.includes('GROUP BY log_offset')
      ? Array.from({ length: 10 }, (_, offset) => ({ offset, rows: 1, from_ms: 5, to_ms: 5 }))
      : [],
} as unknown as Warehouse

describe('a walk', () => {
  const offsetsOf = async (log: MemoryLog, from: number, end: number) => {
    const offsets: number[] = []
    const read = await walkLog(
      log,
      { partition: 0, from, end, readBytesMax: 1 },
      ({ offset }) => void offsets.push(offset),
    )
    return { offsets, read }
  }

  test('hands out each record once, from its first to the last before its end', async () => {
    const log = await logWithSilence(0, 0)
    const read = vi.spyOn(log, 'read')
    expect(await offsetsOf(log, 3, 6)).toEqual({ offsets: [3, 4, 5], read: 6 })
    expect(read).toHaveBeenCalledTimes(3)
    expect(await offsetsOf(log, 9, 10)).toEqual({ offsets: [9], read: 10 })
    // Also where the log hands out more at once than is wanted, and where nothing is.
    const whole = new MemoryLog({ store: log.store })
    expect(await offsetsOf(whole, 0, 4)).toEqual({ offsets: [0, 1, 2, 3], read: 4 })
    expect(await offsetsOf(whole, 4, 4)).toEqual({ offsets: [], read: 4 })
  })

  test('gives up after ten answers with nothing in a row, and not after more that are not in a row', async () => {
    const patient = await logWithSilence(0, 9)
    expect(await offsetsOf(patient, 0, 10)).toMatchObject({ read: 10 })
    let reads = 0
    const silent = await logWithSilence(0, 0)
    silent.read = async () => {
      reads++
      return []
    }
    expect(await offsetsOf(silent, 3, 10)).toEqual({ offsets: [], read: 3 })
    expect(reads).toBe(10)
  })

  test('waits for each action, and ends with its fault', async () => {
    const log = await logWithSilence(0, 0)
    const done: number[] = []
    const walk = walkLog(log, { partition: 0, from: 0, end: 10, readBytesMax: 1 }, async ({ offset }) => {
      await Promise.resolve()
      if (offset === 2) throw new Error('a fault')
      done.push(offset)
    })
    await expect(walk).rejects.toThrow('a fault')
    expect(done).toEqual([0, 1])
  })
})

describe('a log that answers with nothing before its end', () => {
  test('is asked again, and read whole', async () => {
    const log = await logWithSilence(0, 3)
    const verdicts = await verify({ log, group: 'g', warehouse, deadLetters: undefined })
    expect(verdicts).toMatchObject([{ messages: 10, rows: 10, unreadBatches: 0 }])
    expect(isVerified(verdicts)).toBe(true)
    expect(await listDeadLetters(log)).toHaveLength(10)
  })

  test('is not called verified beyond what was read', async () => {
    const log = await logWithSilence(4, Number.POSITIVE_INFINITY)
    const verdicts = await verify({ log, group: 'g', warehouse, deadLetters: undefined })
    expect(verdicts).toMatchObject([{ messages: 4, missing: 0, double: 0, unreadBatches: 6 }])
    expect(isVerified(verdicts)).toBe(false)
    expect(renderVerdicts(verdicts)).toContain('NOT read: 6 batches')
  })

  test('does not show a part of its letters as all of them: a replay would be sent twice', async () => {
    const log = await logWithSilence(4, Number.POSITIVE_INFINITY)
    await expect(listDeadLetters(log)).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' })
  })
})
