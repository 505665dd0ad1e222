/**
 * A record batch of a transaction, version 2 (KIP-98), written record by record into one buffer: kafkajs makes several objects of each.
 *
 *   base offset 8 │ length 4 │ leader epoch 4 │ magic 1 │ crc 4 │ attributes 2 │ last offset delta 4 │ first and last time 8 8
 *   │ producer id 8 │ epoch 2 │ first sequence 4 │ count 4 │ records, compressed together
 *
 *   record   length │ attributes 1 │ time delta │ offset delta │ key │ value │ count of headers │ headers: name, value
 *
 * Lengths, deltas and counts of a record are zigzag varints; the length of a key that is not there is -1. The CRC-32C is of all behind it.
 */
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { gzip, zstdCompress } from 'node:zlib'
import { assert } from '#runtime/assert.ts'

export type Compression = 'none' | 'gzip' | 'zstd'
export type RecordHeader = readonly [name: string, value: string]

/** Whose batch it is, and where in what the producer sends to the partition. */
export interface BatchOrigin {
  readonly producerId: unknown
  readonly producerEpoch: number
  readonly firstSequence: number
}

const crc32c: (bytes: Buffer) => number = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C')

const compressionCodes: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, zstd: 4 }
const compressed: Readonly<Record<Compression, (records: Buffer) => Promise<Buffer>>> = {
  none: async (records) => records,
  gzip: (records) => promisify(gzip)(records),
  zstd: (records) => promisify(zstdCompress)(records),
}

const headBytes = 61
/** Behind base offset and length. */
const lengthStart = 12
const crcStart = 17
const attributesStart = 21
const magic = 2
const transactional = 0x10
const bytesFirst = 16 * 1024
const varintBytesMax = 10

export class RecordBatch {
  readonly #compression: Compression
  #records = Buffer.allocUnsafe(bytesFirst)
  #length = 0
  #count = 0
  #firstMs = 0
  #lastMs = 0
  /** Byte lengths of the names and values of the headers that are being written. */
  readonly #lengths: number[] = []

  constructor(compression: Compression) {
    this.#compression = compression
  }

  /** Records. */
  get count(): number {
    return this.#count
  }

  /** HOT: per message. @param timeMs UTC */
  append(key: Uint8Array | null, value: Uint8Array, headers: readonly RecordHeader[], timeMs: number): void {
    if (this.#count === 0) this.#firstMs = timeMs
    this.#lastMs = Math.max(this.#lastMs, timeMs)
    const timeDelta = zigzag(timeMs - this.#firstMs)
    const offsetDelta = zigzag(this.#count++)
    const bodyBytes =
      1 +
      varintBytes(timeDelta) +
      varintBytes(offsetDelta) +
      sizedBytes(key) +
      sizedBytes(value) +
      this.#measure(headers)
    this.#reserve(varintBytesMax + bodyBytes)
    this.#varint(zigzag(bodyBytes))
    const bodyStart = this.#length
    this.#records[this.#length++] = 0
    this.#varint(timeDelta)
    this.#varint(offsetDelta)
    this.#bytes(key)
    this.#bytes(value)
    this.#varint(zigzag(headers.length))
    for (let index = 0; index < headers.length; index++) {
      this.#text(headers[index]?.[0] ?? '', this.#lengths[2 * index] ?? 0)
      this.#text(headers[index]?.[1] ?? '', this.#lengths[2 * index + 1] ?? 0)
    }
    // A reader takes what lies behind it for the next record.
    assert(this.#length - bodyStart === bodyBytes, 'a record has as many bytes as stand before it')
  }

  /** The batch as it goes into a request; it may be asked for again. */
  async encode({ producerId, producerEpoch, firstSequence }: BatchOrigin): Promise<Buffer> {
    assert(this.#count > 0, 'a record batch has a record')
    assert(firstSequence >= 0 && firstSequence < 2 ** 31, 'a sequence is a number of 31 bits')
    const records = await compressed[this.#compression](this.#records.subarray(0, this.#length))
    const batch = Buffer.allocUnsafe(headBytes + records.length)
    batch.writeBigInt64BE(0n, 0)
    batch.writeInt32BE(batch.length - lengthStart, lengthStart - 4)
    batch.writeInt32BE(0, lengthStart)
    batch.writeInt8(magic, crcStart - 1)
    batch.writeInt16BE(compressionCodes[this.#compression] | transactional, attributesStart)
    batch.writeInt32BE(this.#count - 1, 23)
    batch.writeBigInt64BE(BigInt(this.#firstMs), 27)
    batch.writeBigInt64BE(BigInt(this.#lastMs), 35)
    batch.writeBigInt64BE(BigInt(String(producerId)), 43)
    batch.writeInt16BE(producerEpoch, 51)
    batch.writeInt32BE(firstSequence, 53)
    batch.writeInt32BE(this.#count, 57)
    records.copy(batch, headBytes)
    batch.writeUInt32BE(crc32c(batch.subarray(attributesStart)), crcStart)
    return batch
  }

  #measure(headers: readonly RecordHeader[]): number {
    let bytes = varintBytes(zigzag(headers.length))
    for (let index = 0; index < headers.length; index++) {
      const name = Buffer.byteLength(headers[index]?.[0] ?? '')
      const value = Buffer.byteLength(headers[index]?.[1] ?? '')
      this.#lengths[2 * index] = name
      this.#lengths[2 * index + 1] = value
      bytes += varintBytes(zigzag(name)) + name + varintBytes(zigzag(value)) + value
    }
    return bytes
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#records.length) return
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#records.length, this.#length + bytes))
    this.#records.copy(larger, 0, 0, this.#length)
    this.#records = larger
  }

  #varint(zigzagged: number): void {
    let rest = zigzagged
    while (rest > 0x7f) {
      this.#records[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#records[this.#length++] = rest
  }

  #bytes(bytes: Uint8Array | null): void {
    this.#varint(zigzag(bytes === null ? -1 : bytes.length))
    if (bytes === null) return
    this.#records.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #text(text: string, byteLength: number): void {
    this.#varint(zigzag(byteLength))
    this.#length += this.#records.write(text, this.#length, 'utf8')
  }
}

/** Exact for what a double holds exactly. */
const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value)

function varintBytes(zigzagged: number): number {
  let bytes = 1
  for (let rest = zigzagged; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

const sizedBytes = (bytes: Uint8Array | null): number =>
  bytes === null ? 1 : varintBytes(zigzag(bytes.length)) + bytes.length
