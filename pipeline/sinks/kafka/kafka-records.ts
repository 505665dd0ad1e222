/** Records that a topic gets of a range, in portions that fit a request. */
import type { SelectedMessage, SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import { type Compression, RecordBatch, type RecordHeader } from '#pipeline/kafka/record-batch.ts'
import { assert } from '#runtime/assert.ts'
import { batchHeader } from '#schemas/batch.ts'
import { blocksIn } from '#schemas/batch-walk.ts'
import type { KafkaSettings } from '#schemas/endpoint-kinds/kafka.ts'
import { PenstockError } from '#schemas/errors.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import { messageFields } from '../queues/message-fields.ts'
import type { PartitionRecords } from './transactional-producer.ts'

export interface TopicShape {
  readonly topic: string
  readonly partitionCount: number
  /** `max.message.bytes`: most bytes of a record batch. */
  readonly batchBytesMax: number
}

/** Bytes of records that are held for their next request. */
const portionBytesMax = 4 * 1024 * 1024
/** Of a record besides key, value and headers: lengths, times and positions as varints; and of a batch. */
const recordOverheadBytes = 40
const headerOverheadBytes = 4
const batchOverheadBytes = 1_024

/** @param nowMs time of the records, UTC: a topic keeps them from when they are stored, however long they waited */
export async function* portionsOf(
  selected: SelectedRange,
  { format, compression }: Pick<KafkaSettings, 'format' | 'compression'>,
  shape: TopicShape,
  nowMs: number,
): AsyncGenerator<readonly PartitionRecords[]> {
  assert(shape.partitionCount > 0, `the topic ${shape.topic} has a partition`)
  const portion = new Portion(shape, format === 'batches' ? 'none' : compression, nowMs)
  const records = format === 'batches' ? batchRecords(selected, shape) : messageRecords(selected, shape)
  for await (const some of records)
    for (const record of some) {
      const full = portion.add(record)
      if (full !== undefined) yield full
    }
  const rest = portion.take()
  if (rest.length > 0) yield rest
}

interface PlacedRecord {
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Uint8Array
  readonly headers: readonly RecordHeader[]
}

/** What goes in the next request: of each partition one record batch. */
class Portion {
  readonly #shape: TopicShape
  readonly #compression: Compression
  readonly #batches = new Map<number, { readonly batch: RecordBatch; byteCount: number }>()
  readonly #nowMs: number
  #byteCount = 0

  constructor(shape: TopicShape, compression: Compression, nowMs: number) {
    this.#shape = shape
    this.#compression = compression
    this.#nowMs = nowMs
  }

  /** HOT: per message. @returns what was held before, if the record fits it no more */
  add(record: PlacedRecord): readonly PartitionRecords[] | undefined {
    const { partition, key, value, headers } = record
    const bytes = byteCountOf(record)
    let held = this.#batches.get(partition)
    let full: readonly PartitionRecords[] | undefined
    const batchBytes = (held?.byteCount ?? batchOverheadBytes) + bytes
    if (this.#byteCount > 0 && (this.#byteCount + bytes > portionBytesMax || batchBytes > this.#shape.batchBytesMax)) {
      full = this.take()
      held = undefined
    }
    if (held === undefined) {
      held = { batch: new RecordBatch(this.#compression), byteCount: batchOverheadBytes }
      this.#batches.set(partition, held)
    }
    held.batch.append(key, value, headers, this.#nowMs)
    held.byteCount += bytes
    this.#byteCount += bytes
    return full
  }

  take(): readonly PartitionRecords[] {
    const { topic } = this.#shape
    const taken = Array.from(this.#batches, ([partition, { batch }]) => ({ topic, partition, batch }))
    this.#batches.clear()
    this.#byteCount = 0
    return taken
  }
}

function byteCountOf({ key, value, headers }: PlacedRecord): number {
  let bytes = recordOverheadBytes + (key?.length ?? 0) + value.length
  // Text may be three bytes a character; then batches are smaller than they could be.
  for (const [name, text] of headers) bytes += 3 * (name.length + text.length) + headerOverheadBytes
  return bytes
}

/** A record a message, in the partition where Kafka's own clients would put a record of this key. */
async function* messageRecords(
  selected: SelectedRange,
  { partitionCount }: TopicShape,
): AsyncGenerator<readonly PlacedRecord[]> {
  const expected = selected.range.messageCount
  let messageCount = 0
  for await (const messages of selected.messages()) {
    messageCount += messages.length
    yield messages.map((message) => messageRecord(message, partitionCount))
  }
  // Before the mark is written that says it of the range.
  assert(messageCount === expected, `a transaction of ${expected} messages does not have ${messageCount}`)
}

function messageRecord(message: SelectedMessage, partitionCount: number): PlacedRecord {
  const key = Buffer.from(message.deviceId)
  return {
    partition: partitionOfDevice(key, partitionCount),
    key,
    value: message.body,
    headers: messageFields(message),
  }
}

/**
 * Avro files of whole blocks, as they lie on the log where everything is selected. All of a partition of the log go to one partition, so that
 * messages of a device keep their order.
 */
async function* batchRecords(
  selected: SelectedRange,
  { partitionCount, batchBytesMax }: TopicShape,
): AsyncGenerator<readonly PlacedRecord[]> {
  const { range } = selected
  const place = { partition: range.partition % partitionCount, key: null }
  const headers = [
    ['content-type', 'avro/binary'],
    ['penstock-log-partition', String(range.partition)],
  ] as const
  const recordOf = (blocks: readonly Uint8Array[]) => ({
    ...place,
    value: Buffer.concat([batchHeader, ...blocks]),
    headers,
  })
  let blocks: Uint8Array[] = []
  let byteCount = batchHeader.length
  for (const block of blocksOf(await selected.avro())) {
    if (blocks.length > 0 && byteCount + block.length > batchBytesMax - batchOverheadBytes) {
      yield [recordOf(blocks)]
      blocks = []
      byteCount = batchHeader.length
    }
    blocks.push(block)
    byteCount += block.length
  }
  if (blocks.length > 0) yield [recordOf(blocks)]
}

/** As views of one copy. @throws BATCH_CORRUPT */
function blocksOf(avro: readonly Uint8Array[]): readonly Uint8Array[] {
  const file = Buffer.concat(avro)
  const blocks = blocksIn(file)
  if (typeof blocks === 'string') throw new PenstockError('BATCH_CORRUPT', blocks)
  return blocks.map(({ start, end }) => file.subarray(start, end))
}
