import { describe, expect, test } from 'vitest'
import { MemoryLog } from '#pipeline/log/memory/memory-log.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import type { Logger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { type DeadLetter, letterFromBytes } from '#schemas/dead-letter.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { UndeliverableRecord } from '../undeliverable.ts'
import { openDeadLetterBox } from './dead-letter-box.ts'

const letter = (partition: number, bytes: Uint8Array): UndeliverableRecord => ({
  topic: 'telemetry',
  partition,
  record: {
    offset: 40 + partition,
    stamp: {
      schemaVersion: 1,
      edgeId: 'e',
      epoch: 1,
      sequence: partition,
      messageCount: 2,
      enqueuedAtMsFirst: 5,
      enqueuedAtMsLast: 6,
    },
    value: bytes,
  },
  messageFirst: 1,
  reason: 'WAREHOUSE_REFUSED',
  text: 'why',
})

function boxOf(recordBytesMax?: number) {
  const copies: string[] = []
  const warned: string[] = []
  const faults = { insert: undefined as Error | undefined }
  const warehouse = {
    insert: async (_: string, chunks: readonly Uint8Array[]) => {
      if (faults.insert) throw faults.insert
      copies.push(Buffer.concat(chunks).toString())
    },
  } as unknown as Warehouse
  const logger = { warn: (text: string) => warned.push(text) } as unknown as Logger
  const log = new MemoryLog({ topic: 'letters', partitionCount: 2, recordBytesMax })
  const box = openDeadLetterBox({ log, warehouse, logger, clock: virtualClock(1_000) })
  const written = async (partition: number) =>
    (await log.read(partition, 0, 1_000_000)).map(({ value }) => letterFromBytes(value) as DeadLetter)
  return { box, log, copies, warned, faults, written }
}

describe('the box of dead letters', () => {
  test('a letter is durable on the topic, and analysts get a copy with its bytes as base64', async () => {
    const { box, copies, written } = boxOf()
    await box.put(letter(3, Buffer.from([0, 255])))
    const head = {
      topic: 'telemetry',
      partition: 3,
      offset: 43,
      messageFirst: 1,
      reason: 'WAREHOUSE_REFUSED',
      text: 'why',
      atMs: 1_000,
      messageCount: 2,
    }
    // The topic has partitions of its own, perhaps fewer.
    expect([await written(0), await written(1)]).toEqual([
      [],
      [{ kind: 'letter', ...head, bytes: Buffer.from([0, 255]) }],
    ])
    expect(copies).toEqual([`${JSON.stringify({ ...head, bytes: 'AP8=' })}\n`])
  })

  test('a record too large for a letter becomes one without its bytes, which says so; the copy has them', async () => {
    const { box, copies, written } = boxOf(1_000)
    const bytes = Buffer.alloc(900, 7)
    await box.put(letter(0, bytes))
    expect(await written(0)).toMatchObject([
      { offset: 40, messageCount: 2, text: 'bytes left out: why', bytes: { length: 0 } },
    ])
    expect(JSON.parse(copies[0] ?? '')).toMatchObject({ text: 'why', bytes: bytes.toString('base64') })
  })

  test('a letter that is not durable is no letter: the fault is told, and there is no copy', async () => {
    const { box, log, copies } = boxOf()
    await log.close()
    await expect(box.put(letter(0, Buffer.from('x')))).rejects.toMatchObject({ code: 'LOG_CLOSED' })
    expect(copies).toEqual([])
  })

  test('a log that fails once gets no letter without its bytes instead', async () => {
    const { box, log, copies, written } = boxOf()
    const append = log.append.bind(log)
    log.append = async () => {
      log.append = append
      throw new PenstockError('LOG_UNAVAILABLE', 'silent')
    }
    await expect(box.put(letter(0, Buffer.from('x')))).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' })
    expect([await written(0), copies]).toEqual([[], []])
  })

  test('a copy that is not stored is said and left; a fault of the program is not', async () => {
    const { box, warned, faults, written } = boxOf()
    faults.insert = new PenstockError('WAREHOUSE_UNAVAILABLE', 'silent')
    await box.put(letter(0, Buffer.from('x')))
    expect([warned.length, (await written(0)).length]).toEqual([1, 1])
    faults.insert = new TypeError('a fault')
    await expect(box.put(letter(0, Buffer.from('y')))).rejects.toBe(faults.insert)
  })

  test('letters are durable without a warehouse too', async () => {
    const { log, written } = boxOf()
    const logger = { warn: () => {} } as unknown as Logger
    await openDeadLetterBox({ log, warehouse: undefined, logger }).put(letter(0, Buffer.from('x')))
    expect(await written(0)).toHaveLength(1)
  })

  test('letters of an endpoint carry its name, and count for it alone', async () => {
    const { box, copies, written } = boxOf()
    await box.put({ ...letter(0, Buffer.from('x')), endpoint: 'one' })
    await box.put({ ...letter(0, Buffer.from('x')), endpoint: 'other' })
    expect((await written(0)).map(({ endpoint }) => endpoint)).toEqual(['one', 'other'])
    expect(copies.map((copy) => JSON.parse(copy).endpoint)).toEqual(['one', 'other'])
    expect(await box.lettered('telemetry', 0)).toEqual(new Map())
    expect(await box.lettered('telemetry', 0, 'one')).toEqual(new Map([[40, 2]]))
  })

  test('how many messages of which batch became letters is added up, of one topic and partition', async () => {
    const { box } = boxOf()
    await box.put(letter(0, Buffer.from('x')))
    await box.put({ ...letter(0, Buffer.from('y')), messageFirst: 9 })
    await box.put({ ...letter(0, Buffer.from('z')), topic: 'events' })
    await box.put(letter(2, Buffer.from('z')))
    expect(await box.lettered('telemetry', 0)).toEqual(new Map([[40, 4]]))
    expect(await box.lettered('telemetry', 2)).toEqual(new Map([[42, 2]]))
    expect(await box.lettered('telemetry', 1)).toEqual(new Map())
  })
})
