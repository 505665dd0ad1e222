/**
 * Batch, schema version 1: an Avro object container file (Avro 1.12 specification, "Object Container Files") with the
 * zstandard codec. It is what one log record holds, and any Avro tool reads it.
 *
 *   ┌────────────────────────── header, the same bytes in every batch ──────────────────────────┐
 *   │ "Obj" 01 │ metadata map { avro.schema: telemetry.v1.avsc, avro.codec: zstandard } │ sync16 │
 *   ├────────────────────────── one or more blocks ─────────────────────────────────────────────┤
 *   │ long message count │ long byte length │ zstandard(envelopes) │ sync16                     │
 *   └───────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * The sync marker is constant, so batches are joined by keeping one header and appending the other batches' blocks.
 */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import avsc from 'avsc'
import { readLong } from './avro-long.ts'
import { PenstockError } from './errors.ts'
import { limits } from './limits.ts'

export const batchSchemaVersion = 1

/** `telemetry.v1.avsc` as the header contains it. A test checks that the two are equal. */
export const envelopeSchema = {
  type: 'record',
  name: 'Envelope',
  namespace: 'penstock.telemetry.v1',
  fields: [
    { name: 'deviceId', type: 'string' },
    { name: 'enqueuedAtMs', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'body', type: 'bytes' },
    { name: 'properties', type: { type: 'map', values: 'string' } },
    { name: 'systemProperties', type: { type: 'map', values: 'string' } },
  ],
} as const

/** One device message as readers see it. */
export interface Envelope {
  readonly deviceId: string
  readonly enqueuedAtMs: number
  readonly body: Uint8Array
  readonly properties: Readonly<Record<string, string>>
  readonly systemProperties: Readonly<Record<string, string>>
}

/** 16 bytes that end the header and each block: the ASCII text `penstock.batch.1`. */
export const syncMarker: Uint8Array = Buffer.from('penstock.batch.1', 'latin1')

/** The header of every batch of schema version 1. */
export const batchHeader: Uint8Array = containerHeader(envelopeSchema, 'zstandard', syncMarker)

/** Beginning of an Avro object container file. @param sync 16 bytes that end it and each block */
export function containerHeader(schema: object, codec: string, sync: Uint8Array): Uint8Array {
  const metadata = avsc.Type.forSchema({ type: 'map', values: 'bytes' })
  return Buffer.concat([
    Buffer.from('Obj\x01', 'latin1'),
    metadata.toBuffer({ 'avro.schema': Buffer.from(JSON.stringify(schema)), 'avro.codec': Buffer.from(codec) }),
    sync,
  ])
}

/** True if `value` begins with the header of schema version 1 and ends with its sync marker. Cost: compares ~400 bytes. */
export function isBatch(value: Uint8Array): boolean {
  const end = value.length - syncMarker.length
  return (
    end > batchHeader.length &&
    Buffer.compare(value.subarray(0, batchHeader.length), batchHeader) === 0 &&
    Buffer.compare(value.subarray(end), syncMarker) === 0
  )
}

/** The blocks of a batch without its header, as a view of the same memory. @throws BATCH_CORRUPT */
export function blocksOfBatch(value: Uint8Array): Uint8Array {
  if (!isBatch(value))
    throw new PenstockError('BATCH_CORRUPT', 'not a batch of schema version 1: header or sync marker differ')
  return value.subarray(batchHeader.length)
}

/** A complete batch of one block. `compressed` holds `messageCount` envelopes, zstandard-compressed. Copies once. */
export function batchFromBlock(messageCount: number, compressed: Uint8Array): Buffer {
  const batch = Buffer.allocUnsafeSlow(batchHeader.length + 20 + compressed.length + syncMarker.length)
  batch.set(batchHeader, 0)
  let length = writeLong(batch, batchHeader.length, messageCount)
  length = writeLong(batch, length, compressed.length)
  batch.set(compressed, length)
  length += compressed.length
  batch.set(syncMarker, length)
  return batch.subarray(0, length + syncMarker.length)
}

const longBytesMax = 8

/**
 * Writes an Avro long (zigzag, base 128, least significant group first) and returns the position behind it.
 * @param value integer from 0 to 2^52, which covers every length, count and time written here; at most `longBytesMax` bytes
 */
export function writeLong(target: Uint8Array, position: number, value: number): number {
  let rest = value * 2
  let at = position
  while (rest > 0x7f) {
    target[at++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  target[at++] = rest
  return at
}

/** An Avro long as bytes of its own. */
export function longBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(longBytesMax)
  return bytes.subarray(0, writeLong(bytes, 0, value))
}

/** An Avro string or bytes value: its length, then its bytes. */
export function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  const prefixed = Buffer.allocUnsafe(longBytesMax + bytes.length)
  const start = writeLong(prefixed, 0, bytes.length)
  prefixed.set(bytes, start)
  return prefixed.subarray(0, start + bytes.length)
}

/** A map of strings as Avro writes it: one block of entries and the end mark; an empty map is one zero byte. */
export function mapBytes(entries: ReadonlyMap<string, string>): Uint8Array {
  if (entries.size === 0) return Uint8Array.of(0)
  const parts: Uint8Array[] = [longBytes(entries.size)]
  for (const [key, value] of entries) parts.push(lengthPrefixed(Buffer.from(key)), lengthPrefixed(Buffer.from(value)))
  parts.push(Uint8Array.of(0))
  return Buffer.concat(parts)
}

/** All envelopes of a batch, decoded. For tools and tests; the pipeline itself never decodes. @throws BATCH_CORRUPT */
export function envelopesOfBatch(value: Uint8Array): Envelope[] {
  return messagesOfBatch(value).map(({ envelope }) => envelope)
}

/** One message of a batch: its decoded fields, and its own bytes, unchanged. */
export interface BatchMessage {
  readonly envelope: Envelope
  /** The encoded envelope, a view of the decompressed block. */
  readonly bytes: Uint8Array
}

/** All messages of a batch, to take it apart. `batchFromMessages` joins them again. @throws BATCH_CORRUPT */
export function messagesOfBatch(value: Uint8Array): BatchMessage[] {
  const messages: BatchMessage[] = []
  takeMessages(value, (message) => {
    messages.push(message)
    return true
  })
  return messages
}

/**
 * Gives the messages of a batch to `take`, one after the other, as long as it answers that it wants another. What lies behind the last one
 * is not decoded.
 * @throws BATCH_CORRUPT, also after some were taken
 */
export function takeMessages(value: Uint8Array, take: (message: BatchMessage) => boolean): void {
  const blocks = blocksOfBatch(value)
  let position = 0
  while (position < blocks.length) {
    const count = lengthAt(blocks, position)
    const size = lengthAt(blocks, count.end)
    const end = size.end + size.value
    if (end + syncMarker.length > blocks.length) throw new PenstockError('BATCH_CORRUPT', 'a block is cut short')
    const taken = takeFromBlock(blocks.subarray(size.end, end), take)
    if (taken === undefined) return
    if (taken !== count.value) throw new PenstockError('BATCH_CORRUPT', 'a block holds another number of messages')
    position = end + syncMarker.length
  }
}

/** A batch of these messages, in one block if they fit it. */
export function batchFromMessages(messages: readonly { readonly bytes: Uint8Array }[]): Buffer {
  const blocks: Buffer[] = []
  let block: Uint8Array[] = []
  let byteCount = 0
  const close = () => {
    blocks.push(batchFromBlock(block.length, zstdCompressSync(Buffer.concat(block))))
    block = []
    byteCount = 0
  }
  for (const { bytes } of messages) {
    // Readers refuse a larger one.
    if (block.length > 0 && byteCount + bytes.length > limits.blockBytesMax) close()
    block.push(bytes)
    byteCount += bytes.length
  }
  close()
  const [first = Buffer.alloc(0), ...others] = blocks
  return others.length === 0 ? first : Buffer.concat([first, ...others.map(blocksOfBatch)])
}

/** One envelope as Avro writes it. For tools and tests; the edge has a faster way. */
export function envelopeBytes(envelope: Envelope): Buffer {
  return envelopeType.toBuffer(envelope)
}

const envelopeType = avsc.Type.forSchema(JSON.parse(JSON.stringify(envelopeSchema)))

/** @returns how many there were; `undefined` if no more are wanted */
function takeFromBlock(compressed: Uint8Array, take: (message: BatchMessage) => boolean): number | undefined {
  let position = 0
  let count = 0
  let plain: Buffer
  try {
    plain = zstdDecompressSync(compressed, { maxOutputLength: limits.blockBytesMax })
  } catch (cause) {
    throw new PenstockError('BATCH_CORRUPT', 'a block is not zstandard data, or larger than a block may be', { cause })
  }
  while (position < plain.length) {
    const decoded = decodeAt(plain, position)
    if (decoded.offset <= position) throw new PenstockError('BATCH_CORRUPT', 'an envelope is cut short')
    if (!take({ envelope: decoded.value, bytes: plain.subarray(position, decoded.offset) })) return undefined
    count++
    position = decoded.offset
  }
  return count
}

function decodeAt(plain: Buffer, position: number): { value: Envelope; offset: number } {
  try {
    return envelopeType.decode(plain, position)
  } catch (cause) {
    throw new PenstockError('BATCH_CORRUPT', 'an envelope that cannot be decoded', { cause })
  }
}

function lengthAt(bytes: Uint8Array, start: number): { readonly value: number; readonly end: number } {
  const length = readLong(bytes, start)
  if (length === undefined) throw new PenstockError('BATCH_CORRUPT', 'a length is not a positive Avro long')
  return length
}
