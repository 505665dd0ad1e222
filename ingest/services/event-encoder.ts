/**
 * Messages of the log as transfers of AMQP, written from the envelope into one buffer.
 *
 *   frame head 8 │ TRANSFER 30 │ delivery annotations? │ annotations │ properties │ application properties │ data
 *
 *   annotations   x-opt-sequence-number, x-opt-enqueued-time, iothub-enqueuedtime   at fixed places
 *                 x-opt-offset, iothub-connection-device-id                         texts
 *                 what the system properties say, iothub-message-source             known by the bytes of the envelope's maps
 *
 * What a device says about its messages is mostly what it said about the last one: those sections are copied, not made.
 */
import type { EnvelopeScan } from '#pipeline/routing/select/envelope-scan.ts'
import { SuffixTable } from '#pipeline/routing/select/suffix-table.ts'
import { frameHeadBytes, performatives } from '#runtime/amqp/frames.ts'
import { type MessageField, sections, writeSections } from '#runtime/amqp/message.ts'
import { encode, symbol, uint, type Value } from '#runtime/amqp/write-values.ts'
import { assert } from '#runtime/assert.ts'
import { symbolText, systemField } from '#schemas/hub-fields.ts'
import { limits } from '#schemas/limits.ts'

const transferBytes = 30
/** 00 53 75, and a length of four bytes behind its constructor. */
const dataHeadBytes = 8
/** Digits of the largest number that is exact. */
const offsetDigitsMax = 16

/** The map of annotations up to its texts. */
const [fixedBytes, sequenceAt, enqueuedAt, hubEnqueuedAt] = fixedAnnotations()
const offsetKey = encode(symbol('x-opt-offset'))
const deviceKey = encode(symbol('iothub-connection-device-id'))
const fixedEntries = 5
/** Behind 00 53 72 and the constructor: the size, then the number of keys and values. */
const sizeAt = 4
const countAt = 8
const textsBytesMax = offsetKey.length + 2 + offsetDigitsMax + deviceKey.length + 5

/** What the maps of an envelope become. */
interface Suffix {
  /** Further annotations. */
  readonly annotations: Buffer
  readonly annotationCount: number
  /** Properties and application properties. */
  readonly sections: Buffer
}

/** How the transfers of one link are written. */
export interface TransferHead {
  readonly channel: number
  readonly handle: number
  readonly settled: boolean
  readonly frameBytesMax: number
  /** A section; empty if there is none. */
  readonly deliveryAnnotations: Buffer
}

export class EventEncoder {
  /** What was written since `begin`. */
  readonly bytes = Buffer.allocUnsafeSlow(limits.readingSliceBytesMax + limits.amqpFrameBytesMax)
  length = 0
  readonly #suffixes = new SuffixTable<Suffix>()

  begin(): void {
    this.length = 0
  }

  get isFull(): boolean {
    return this.length >= limits.readingSliceBytesMax
  }

  /**
   * Writes the message entered. Its `end` is known afterwards. HOT: per message.
   * @returns false if it needs more than one frame: nothing is written
   */
  write(scan: EnvelopeScan, sequence: number, deliveryId: number, head: TransferHead): boolean {
    const suffix = this.#suffixOf(scan)
    const bodyBytes = scan.bodyEnd - scan.bodyStart
    const bytesMax =
      frameHeadBytes + transferBytes + head.deliveryAnnotations.length + this.#messageBytesMax(scan, suffix, bodyBytes)
    if (bytesMax > head.frameBytesMax) return false
    const start = this.length
    const messageStart = start + frameHeadBytes + transferBytes
    const end = this.#message(this.bytes, messageStart, scan, sequence, suffix, head.deliveryAnnotations)
    writeTransferHead(this.bytes, start, end, deliveryId, head)
    this.length = end
    return true
  }

  /** The sections of a message that needs more than one frame. */
  message(scan: EnvelopeScan, sequence: number, deliveryAnnotations: Buffer): Buffer {
    const suffix = this.#suffixOf(scan)
    const bytesMax = deliveryAnnotations.length + this.#messageBytesMax(scan, suffix, scan.bodyEnd - scan.bodyStart)
    const bytes = Buffer.allocUnsafe(bytesMax)
    const end = this.#message(bytes, 0, scan, sequence, suffix, deliveryAnnotations)
    // Bytes beyond the end of a buffer are dropped without an error.
    assert(end <= bytes.length, `a message of ${end} bytes is no longer than was reckoned, ${bytes.length}`)
    return bytes.subarray(0, end)
  }

  #messageBytesMax(scan: EnvelopeScan, suffix: Suffix, bodyBytes: number): number {
    const idBytes = scan.idEnd - scan.idStart
    return (
      fixedBytes.length +
      textsBytesMax +
      idBytes +
      suffix.annotations.length +
      suffix.sections.length +
      dataHeadBytes +
      bodyBytes
    )
  }

  /** @returns where it ends */
  #message(
    bytes: Buffer,
    start: number,
    scan: EnvelopeScan,
    sequence: number,
    suffix: Suffix,
    deliveryAnnotations: Buffer,
  ): number {
    deliveryAnnotations.copy(bytes, start)
    const annotationsStart = start + deliveryAnnotations.length
    fixedBytes.copy(bytes, annotationsStart)
    writeLong(bytes, annotationsStart + sequenceAt, sequence)
    const enqueuedAtMs = scan.enqueuedAtMs()
    writeLong(bytes, annotationsStart + enqueuedAt, enqueuedAtMs)
    writeLong(bytes, annotationsStart + hubEnqueuedAt, enqueuedAtMs)
    let at = annotationsStart + fixedBytes.length
    at += offsetKey.copy(bytes, at)
    const digits = bytes.write(String(sequence), at + 2, 'latin1')
    bytes[at] = 0xa1
    bytes[at + 1] = digits
    at += 2 + digits
    at += deviceKey.copy(bytes, at)
    at = copyText(bytes, at, scan.bytes, scan.idStart, scan.idEnd)
    at += suffix.annotations.copy(bytes, at)
    bytes.writeUInt32BE(at - annotationsStart - countAt, annotationsStart + sizeAt)
    bytes.writeUInt32BE(2 * (fixedEntries + suffix.annotationCount), annotationsStart + countAt)
    at += suffix.sections.copy(bytes, at)
    bytes[at] = 0
    bytes[at + 1] = 0x53
    bytes[at + 2] = sections.data
    bytes[at + 3] = 0xb0
    bytes.writeUInt32BE(scan.bodyEnd - scan.bodyStart, at + 4)
    at += dataHeadBytes
    return at + (scan.bytes as Buffer).copy(bytes, at, scan.bodyStart, scan.bodyEnd)
  }

  #suffixOf(scan: EnvelopeScan): Suffix {
    const known = this.#suffixes.find(scan)
    if (known !== undefined) return known
    const made = suffixFrom(scan)
    this.#suffixes.keep(scan, made)
    return made
  }
}

function writeTransferHead(bytes: Buffer, start: number, end: number, deliveryId: number, head: TransferHead): void {
  bytes.writeUInt32BE(end - start, start)
  bytes[start + 4] = 2
  bytes[start + 5] = 0
  bytes.writeUInt16BE(head.channel, start + 6)
  transferTemplate.copy(bytes, start + frameHeadBytes)
  bytes.writeUInt32BE(head.handle, start + frameHeadBytes + 7)
  bytes.writeUInt32BE(deliveryId, start + frameHeadBytes + 12)
  bytes.writeUInt32BE(deliveryId, start + frameHeadBytes + 18)
  bytes[start + frameHeadBytes + 23] = head.settled ? 0x41 : 0x42
}

/** described list of 11: handle, delivery id, tag, format 0, settled, more, two that are null, three flags that are false */
const transferTemplate = Buffer.from([
  ...[0x00, 0x53, performatives.transfer, 0xc0, transferBytes - 5, 11],
  ...[0x70, 0, 0, 0, 0, 0x70, 0, 0, 0, 0, 0xa0, 4, 0, 0, 0, 0],
  ...[0x43, 0x41, 0x42, 0x40, 0x40, 0x42, 0x42, 0x42],
])
assert(transferTemplate.length === transferBytes, 'a TRANSFER is as long as its template')

/** Signed, and exact as far as a number is. */
function writeLong(bytes: Buffer, at: number, value: number): void {
  bytes.writeInt32BE(Math.floor(value / 2 ** 32), at)
  bytes.writeUInt32BE(value >>> 0, at + 4)
}

/** A string of AMQP, of bytes that are UTF-8 already. @returns where it ends */
function copyText(bytes: Buffer, at: number, from: Uint8Array, start: number, end: number): number {
  const length = end - start
  let textAt = at + 2
  if (length < 256) {
    bytes[at] = 0xa1
    bytes[at + 1] = length
  } else {
    bytes[at] = 0xb1
    bytes.writeUInt32BE(length, at + 1)
    textAt = at + 5
  }
  return textAt + (from as Buffer).copy(bytes, textAt, start, end)
}

/** @returns the bytes, and where in them the three numbers lie */
function fixedAnnotations(): readonly [bytes: Buffer, sequence: number, enqueued: number, hubEnqueued: number] {
  const head = Buffer.from([0x00, 0x53, sections.annotations, 0xd1, 0, 0, 0, 0, 0, 0, 0, 0])
  const parts: Buffer[] = [head]
  const places: number[] = []
  let length = head.length
  for (const [name, format] of [
    ['x-opt-sequence-number', 0x81],
    ['x-opt-enqueued-time', 0x83],
    ['iothub-enqueuedtime', 0x83],
  ] as const) {
    const key = encode(symbol(name))
    places.push(length + key.length + 1)
    parts.push(key, Buffer.from([format, 0, 0, 0, 0, 0, 0, 0, 0]))
    length += key.length + 9
  }
  const [sequence = 0, enqueued = 0, hubEnqueued = 0] = places
  return [Buffer.concat(parts), sequence, enqueued, hubEnqueued]
}

/** Properties of a message by the names under which they are stored; whatever else is known of it is an annotation. */
const fields: Readonly<Record<string, MessageField>> = {
  messageId: 'messageId',
  userId: 'userId',
  replyTo: 'replyTo',
  correlationId: 'correlationId',
  contentType: 'contentType',
  contentEncoding: 'contentEncoding',
  expiry: 'expiry',
  groupId: 'groupId',
  groupSequence: 'groupSequence',
  replyToGroupId: 'replyToGroupId',
}

/** Of a message that says of itself no other. */
const telemetrySource = 'Telemetry'

/** Reads the maps of the envelope entered, which the table has stepped over. */
function suffixFrom(scan: EnvelopeScan): Suffix {
  const application: [string, string][] = [...entriesAt(scan, scan.propertiesStart)]
  const properties: Partial<Record<MessageField, Value>> = {}
  const annotations = new Map<string, string>([['iothub-message-source', telemetrySource]])
  for (const [name, text] of entriesAt(scan, scan.systemStart)) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (field === undefined) annotations.set(systemField(name), text)
    else properties[field] = fieldValue(field, text)
  }
  const bytes = [...annotations].flatMap(([name, text]) => [encode(symbol(symbolText(name))), encode(text)])
  return {
    annotations: Buffer.concat(bytes),
    annotationCount: annotations.size,
    sections: writeSections({ properties, applicationProperties: application }),
  }
}

function fieldValue(field: MessageField, text: string): Value {
  switch (field) {
    case 'userId':
      return Buffer.from(text)
    case 'contentType':
    case 'contentEncoding':
      return symbol(symbolText(text))
    case 'groupSequence':
      return /^\d{1,9}$/.test(text) ? uint(Number(text)) : null
    case 'expiry': {
      const moment = new Date(text)
      return Number.isNaN(moment.getTime()) ? null : moment
    }
    default:
      return text
  }
}

function* entriesAt(scan: EnvelopeScan, start: number): Generator<[string, string]> {
  const bytes = scan.bytes as Buffer
  scan.enterMap(start)
  while (scan.nextEntry())
    yield [bytes.toString('utf8', scan.keyStart, scan.keyEnd), bytes.toString('utf8', scan.valueStart, scan.valueEnd)]
}
