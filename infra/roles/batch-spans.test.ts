import { describe, expect, test } from 'vitest'
import type { Span } from '#runtime/otlp/otlp-spans.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { batchFromMessages, type Envelope, envelopeBytes } from '#schemas/batch.ts'
import { BatchSpans } from './batch-spans.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'

const envelope = (properties: Record<string, string>): Envelope => ({
  deviceId: 'a',
  enqueuedAtMs: 5,
  body: Buffer.from('traceparent'),
  properties,
  systemProperties: {},
})

const stampOf = (sequence: number) => ({
  ...{ schemaVersion: 1, edgeId: 'edge', epoch: 7, sequence, messageCount: 2 },
  ...{ enqueuedAtMsFirst: 1_000, enqueuedAtMsLast: 1_010 },
})

function readRecord(sequence: number, envelopes: readonly Envelope[]) {
  const value = batchFromMessages(envelopes.map((each) => ({ bytes: envelopeBytes(each) })))
  const record = { offset: sequence, stamp: stampOf(sequence), value }
  return { record, readMonotonicMs: 0, rowCount: 2, bodyBytesMax: 10, day: 0, fault: undefined }
}

function recording(batchesPerTrace: number) {
  const spans: Span[] = []
  const clock = virtualClock(2_000)
  return { spans, recorder: new BatchSpans({ topic: 't', batchesPerTrace, clock, record: (span) => spans.push(span) }) }
}

describe('spans of batches', () => {
  test('edge and worker come to the same trace by what the record is stamped with', () => {
    const edge = recording(1)
    const worker = recording(1)
    edge.recorder.appended({ partition: 3, offset: 9, stamp: stampOf(9), bytes: 100 })
    worker.recorder.stored(3, [readRecord(9, [envelope({})])])
    expect(edge.spans).toMatchObject([{ name: 'penstock.append', parentSpanId: '', startMs: 1_000, endMs: 2_000 }])
    const [append] = edge.spans
    expect(worker.spans).toMatchObject([
      { name: 'penstock.store', traceId: append?.traceId, parentSpanId: append?.spanId, links: [] },
    ])
    expect(append?.traceId).toMatch(/^[0-9a-f]{32}$/)
    expect(append?.spanId).toMatch(/^[0-9a-f]{16}$/)
  })

  test('of many batches about one of so many is traced, the same ones at both', () => {
    const edge = recording(50)
    const worker = recording(50)
    for (let sequence = 0; sequence < 2_000; sequence++) {
      edge.recorder.appended({ partition: 0, offset: sequence, stamp: stampOf(sequence), bytes: 1 })
      worker.recorder.stored(0, [readRecord(sequence, [envelope({})])])
    }
    expect(edge.spans.length).toBeGreaterThan(10)
    expect(edge.spans.length).toBeLessThan(120)
    expect(worker.spans.map((span) => span.traceId)).toEqual(edge.spans.map((span) => span.traceId))
  })

  test('a trace that messages bring is linked once; what is no traceparent, or stands in a body, is none', () => {
    const { spans, recorder } = recording(1)
    const brought = envelope({ traceparent: `00-${traceId}-00f067aa0ba902b7-01` })
    recorder.stored(0, [readRecord(1, [envelope({ traceparent: '00-zz' }), brought, brought])])
    expect(spans[0]?.links).toEqual([{ traceId, spanId: '00f067aa0ba902b7' }])
  })

  test('a batch that cannot be decoded is traced without links', () => {
    const { spans, recorder } = recording(1)
    const good = readRecord(1, [envelope({})])
    recorder.stored(0, [{ ...good, record: { ...good.record, value: Buffer.from('Obj') } }])
    expect(spans).toMatchObject([{ name: 'penstock.store', links: [] }])
  })

  test('no more traces are linked than anybody looks at', () => {
    const { spans, recorder } = recording(1)
    const many = Array.from({ length: 40 }, (_, index) =>
      envelope({ traceparent: `00-${traceId}-${(index + 1).toString(16).padStart(16, '0')}-01` }),
    )
    recorder.stored(0, [readRecord(1, many)])
    expect(spans[0]?.links.length).toBe(32)
  })
})
