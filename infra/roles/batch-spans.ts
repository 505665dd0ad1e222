/**
 * Spans of some batches, as a trace each:
 *
 *   penstock.append   at the edge: from the first message until the log has confirmed the record
 *     penstock.store    at the worker: from when it had read the record until its rows were stored; what lies between is waiting
 *
 * Nothing travels with a batch for it. Its trace id, its spans' ids and whether it is one of those are made of what every record is stamped
 * with, so edge and worker come to the same. A message that brings a `traceparent` (W3C Trace Context) is linked: the worker looks for it
 * in the batches that are traced anyway, off the way of devices.
 */
import { createHash } from 'node:crypto'
import type { AppendedRecord } from '#ingest/batches/partition-batcher.ts'
import type { BatchStamp } from '#pipeline/log/log.ts'
import type { ReadRecord } from '#pipeline/workers/range-reader.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Span, SpanLink } from '#runtime/otlp/otlp-spans.ts'
import { type Envelope, envelopesOfBatch } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { parseTraceparent, traceparentProperty } from '#schemas/traceparent.ts'

export interface BatchSpansOptions {
  readonly topic: string
  /** One of so many batches is traced. */
  readonly batchesPerTrace: number
  readonly clock: Clock
  readonly record: (span: Span) => void
}

/** What a span may be linked to; more than anybody looks at. */
const linksMax = 32

export class BatchSpans {
  readonly #options: BatchSpansOptions

  constructor(options: BatchSpansOptions) {
    this.#options = options
  }

  /** HOT: per batch; a hash of some 40 bytes. */
  appended({ partition, offset, stamp, bytes }: AppendedRecord): void {
    const ids = batchTraceOf(partition, stamp, this.#options.batchesPerTrace)
    if (ids === undefined) return
    this.#options.record({
      traceId: ids.traceId,
      spanId: ids.appendId,
      parentSpanId: '',
      name: 'penstock.append',
      kind: 'producer',
      startMs: stamp.enqueuedAtMsFirst,
      endMs: Math.max(stamp.enqueuedAtMsFirst, this.#options.clock.nowMs()),
      attributes: { ...this.#attributesOf(partition, offset, stamp), 'penstock.record.bytes': bytes },
      links: [],
    })
  }

  /** Records of which rows were made, just now. HOT: as `appended`; a batch that is traced is decoded. */
  stored(partition: number, records: readonly ReadRecord[]): void {
    const [nowMs, monotonicMs] = [this.#options.clock.nowMs(), this.#options.clock.monotonicMs()]
    for (const { record, readMonotonicMs } of records) {
      const ids = batchTraceOf(partition, record.stamp, this.#options.batchesPerTrace)
      if (ids === undefined) continue
      this.#options.record({
        traceId: ids.traceId,
        spanId: ids.storeId,
        parentSpanId: ids.appendId,
        name: 'penstock.store',
        kind: 'consumer',
        startMs: nowMs - (monotonicMs - readMonotonicMs),
        endMs: nowMs,
        attributes: this.#attributesOf(partition, record.offset, record.stamp),
        links: linksOf(record.value),
      })
    }
  }

  #attributesOf(partition: number, offset: number, stamp: BatchStamp): Record<string, string | number> {
    return {
      'messaging.destination.name': this.#options.topic,
      'messaging.destination.partition.id': String(partition),
      'penstock.record.offset': offset,
      'messaging.batch.message_count': stamp.messageCount,
      'penstock.edge.id': stamp.edgeId,
    }
  }
}

export interface BatchTrace {
  readonly traceId: string
  readonly appendId: string
  readonly storeId: string
}

/** The trace of a record and its two spans; `undefined`: it is none of those that are traced. */
export function batchTraceOf(partition: number, stamp: BatchStamp, batchesPerTrace: number): BatchTrace | undefined {
  const { edgeId, epoch, sequence } = stamp
  const hash = createHash('sha256').update(`${edgeId}/${epoch}/${partition}/${sequence}`).digest()
  if (hash.readUInt32BE(0) % batchesPerTrace !== 0) return undefined
  const hex = hash.toString('hex')
  return { traceId: hex.slice(0, 32), appendId: hex.slice(32, 48), storeId: hex.slice(48, 64) }
}

/** What cannot be decoded has none: a look must not disturb delivery. */
function linksOf(value: Uint8Array): SpanLink[] {
  const links = new Map<string, SpanLink>()
  for (const { properties } of decoded(value)) {
    const link = parseTraceparent(properties[traceparentProperty])
    if (link !== undefined) links.set(`${link.traceId}${link.spanId}`, link)
    if (links.size >= linksMax) break
  }
  return [...links.values()]
}

function decoded(value: Uint8Array): readonly Envelope[] {
  try {
    return envelopesOfBatch(value)
  } catch (error) {
    if (isPenstockError(error, 'BATCH_CORRUPT')) return []
    throw error
  }
}
