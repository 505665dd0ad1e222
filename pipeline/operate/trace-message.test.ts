import { describe, expect, test } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import type { WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { traceMessages } from './trace-message.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
const stamp = { schemaVersion: 1, edgeId: 'edge', epoch: 1, messageCount: 2 }

/** A record of two messages, of which the second may bring a trace. */
function record(atMs: number, brought: string | undefined) {
  const bytes = [undefined, brought].map((each) =>
    envelopeBytes({
      deviceId: 'a',
      enqueuedAtMs: atMs,
      body: Buffer.from(''),
      properties: each === undefined ? {} : { traceparent: each },
      systemProperties: {},
    }),
  )
  return batchFromMessages(bytes.map((each) => ({ bytes: each })))
}

/** A log whose records begin at these times, each with what its message brings. @param position of the workers */
async function tracing(
  records: readonly (readonly [number, string | undefined])[],
  position: number,
  rows: readonly WarehouseRow[],
) {
  const store = new MemoryStore('telemetry', 1)
  const log = new MemoryLog({ store })
  for (const [sequence, [atMs, brought]] of records.entries())
    await log.append(0, { ...stamp, sequence, enqueuedAtMsFirst: atMs, enqueuedAtMsLast: atMs }, record(atMs, brought))
  store.positions.set('g 0', { offset: position, metadata: '' })
  return await traceMessages({ log, group: 'g', warehouse: { query: async () => rows }, traceId, fromMs: 0 })
}

const row = (range_offset: number, enqueued_at_ms: number, stored_at = 0): WarehouseRow => ({
  ...{ device_id: 'a', enqueued_at_ms: String(enqueued_at_ms), traceparent, partition: 0 },
  ...{ range_offset: String(range_offset), stored_at },
})

describe('where the messages of a trace are', () => {
  test('of a row: the record that it came in, which may lie behind the first one of its insert', async () => {
    const { messages } = await tracing(
      [
        [100, undefined],
        [200, traceparent],
        [300, traceparent],
      ],
      3,
      [row(0, 200, 5)],
    )
    expect(messages).toMatchObject([
      {
        deviceId: 'a',
        enqueuedAtMs: 200,
        record: { offset: 1, stamp: { edgeId: 'edge' } },
        row: { rangeOffset: 0, storedAtMs: 5_000 },
      },
    ])
  })

  test('of a row whose record the log keeps no more: the row', async () => {
    const { messages } = await tracing([[900, undefined]], 1, [row(0, 200)])
    expect(messages).toMatchObject([{ enqueuedAtMs: 200, record: undefined, row: { rangeOffset: 0 } }])
    expect(messages[0]?.row?.storedAtMs).toBeUndefined()
  })

  test('what waits on the log is no row yet; another trace, and a record that cannot be read, are left out', async () => {
    const other = traceparent.replace('4bf', 'abc')
    const trace = await tracing(
      [
        [100, traceparent],
        [200, other],
        [300, traceparent],
      ],
      1,
      [],
    )
    expect(trace).toMatchObject({ messages: [{ enqueuedAtMs: 300, record: { offset: 2 } }], unreadRecords: 0 })
    expect(trace.messages[0]?.row).toBeUndefined()
  })

  test('what became a row while the log was read is told once', async () => {
    const { messages } = await tracing([[100, traceparent]], 0, [row(0, 100)])
    expect(messages).toMatchObject([{ record: { offset: 0 }, row: { rangeOffset: 0 } }])
  })

  test('nothing is nothing, and many rows are cut', async () => {
    expect(await tracing([], 0, [])).toEqual({ messages: [], hasMoreRows: false, unreadRecords: 0 })
    const { messages, hasMoreRows } = await tracing(
      [],
      0,
      Array.from({ length: 101 }, (_, n) => row(0, n)),
    )
    expect([messages.length, hasMoreRows]).toEqual([100, true])
  })
})
