/**
 * Frames of one device, made by copying a template and patching a few fields in place: an envelope, as its protocol has it, and the body.
 *
 *   30│32│38│3A  remaining length  topic length · topic  [packet id]  [v5: 00] │ {"seq":1000000042,"at":1700000000000,"v":"7351…"}
 *                                                          ▲ QoS 1             │       ▲ 10 digits     ▲ 13 digits      ▲ 4 digits
 *
 * An envelope of AMQP is in `transfer-envelope.ts`. Only the last four digits of both numbers change from frame to frame (`body-layout.ts`): a run of frames ends where a higher digit
 * would change.
 * With a body template (`body-template.ts`) one of its variants stands behind the time instead, copied whole for each frame.
 */

import { packetIds } from '#loadtest/ledger/ledger.ts'
import {
  atHead,
  bodyHead,
  bodyHeadBytes,
  bodyOffsets,
  digitSpan,
  sequenceBase,
  valueHead,
  valueOfMessage,
} from './body-layout.ts'
import type { BodyVariants } from './body-template.ts'

/** The ASCII digits of 0000 … 9999, four bytes each. */
const fourDigits = Buffer.from(
  Array.from({ length: digitSpan }, (_, n) => String(n).padStart(4, '0')).join(''),
  'latin1',
)

/** What stands before the body of each frame of a device, and where numbers change in it; a place of -1 is not there. */
export interface FrameEnvelope {
  readonly head: Buffer
  /** Two bytes that follow from the sequence number (`packetIdOfSequence`). */
  readonly packetIdAt: number
  /** Four bytes each: the number of the message on its connection, twice. */
  readonly deliveryIdAt: number
  readonly deliveryTagAt: number
  /** Set in the first byte of what is sent again. */
  readonly resentFlag: number
}

export interface FrameOptions {
  readonly envelope: FrameEnvelope
  readonly bodyBytes: number
  readonly seed: number
  /** Of the body template, whose size `bodyBytes` is; undefined: there is none. */
  readonly variants?: BodyVariants | undefined
}

/** Milliseconds (UTC) at which a sequence number was to be sent. */
export type IntendedAtMs = (sequence: number) => number

export class FrameTemplate {
  readonly frameBytes: number
  /** Added to a sequence number it is the number of the message on its connection. */
  deliveryOffset = 0
  readonly #frame: Buffer
  readonly #envelope: FrameEnvelope
  readonly #sequenceAt: number
  readonly #timeAt: number
  readonly #valueAt: number
  readonly #seed: number
  readonly #tailAt: number
  readonly #variants: BodyVariants | undefined

  constructor({ envelope, bodyBytes, seed, variants }: FrameOptions) {
    if (variants && bodyHeadBytes + variants.bytes !== bodyBytes) throw new Error('bodyBytes is not of the template')
    const bodyAt = envelope.head.length
    this.#envelope = envelope
    this.#frame = Buffer.concat([envelope.head, bodyOf(bodyBytes)])
    this.#sequenceAt = bodyAt + bodyOffsets.sequence
    this.#timeAt = bodyAt + bodyOffsets.at
    this.#valueAt = bodyAt + bodyOffsets.value
    this.#tailAt = bodyAt + bodyHeadBytes
    this.#seed = seed
    this.#variants = variants
    this.frameBytes = this.#frame.length
  }

  /**
   * HOT: paid per message: four bytes and those of its number, four more with a time of its own; with a body template one copy of its variant.
   * Writes frames of the sequence numbers from `first` on, at most `count` and at most what fits, beginning at byte 0.
   * @param at one moment for all frames, or each one's own
   * @returns frames written, at least 1 if one fits: a run also ends where the fifth digit of a number changes
   */
  fill(target: Buffer, first: number, count: number, isResent: boolean, at: number | IntendedAtMs): number {
    const { frameBytes } = this
    const firstAtMs = typeof at === 'number' ? at : at(first)
    let frames = Math.min(count, Math.floor(target.length / frameBytes), digitSpan - (first % digitSpan))
    this.#copyInto(target, frames, first, firstAtMs, isResent)
    const { packetIdAt: idAt, deliveryIdAt, deliveryTagAt } = this.#envelope
    const valueAt = this.#valueAt
    const seed = this.#seed
    const variants = this.#variants
    const tailAt = this.#tailAt
    const timeGroup = Math.floor(firstAtMs / digitSpan)
    let digits = (first % digitSpan) * 4
    let packetId = first % packetIds
    let deliveryNumber = first + this.deliveryOffset
    let sequenceAt = this.#sequenceAt + bodyOffsets.sequenceBytes - 4
    let frameAt = 0
    for (let index = 0; index < frames; index++) {
      if (idAt >= 0) {
        const id = packetId + 1
        target[frameAt + idAt] = id >> 8
        target[frameAt + idAt + 1] = id & 0xff
        packetId = id === packetIds ? 0 : id
      }
      if (deliveryIdAt >= 0) {
        copyNumber(target, frameAt + deliveryIdAt, deliveryNumber)
        copyNumber(target, frameAt + deliveryTagAt, deliveryNumber)
        deliveryNumber++
      }
      copyDigits(target, sequenceAt, digits)
      digits += 4
      if (variants) variants.copy(target, frameAt + tailAt, first + index, seed)
      else copyDigits(target, frameAt + valueAt, valueOfMessage(first + index, seed) * 4)
      if (typeof at !== 'number') {
        const atMs = at(first + index)
        if (Math.floor(atMs / digitSpan) !== timeGroup) {
          frames = index
          break
        }
        copyDigits(target, frameAt + this.#timeAt + bodyOffsets.atBytes - 4, (atMs % digitSpan) * 4)
      }
      sequenceAt += frameBytes
      frameAt += frameBytes
    }
    return frames
  }

  /** One frame by bytes, then doubled: log2(frames) copies. */
  #copyInto(target: Buffer, frames: number, sequence: number, atMs: number, isResent: boolean): void {
    target.set(this.#frame, 0)
    if (isResent) target[0] = (target[0] ?? 0) | this.#envelope.resentFlag
    target.write(String(sequenceBase + sequence), this.#sequenceAt, 'latin1')
    target.write(String(Math.floor(atMs)), this.#timeAt, 'latin1')
    const bytes = frames * this.frameBytes
    for (let done = this.frameBytes; done < bytes; done *= 2) target.copyWithin(done, 0, Math.min(done, bytes - done))
  }
}

function copyDigits(target: Buffer, at: number, from: number): void {
  target[at] = fourDigits[from] as number
  target[at + 1] = fourDigits[from + 1] as number
  target[at + 2] = fourDigits[from + 2] as number
  target[at + 3] = fourDigits[from + 3] as number
}

function copyNumber(target: Buffer, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

/** Before the bodies of PUBLISH [MQTT-3.3]. */
export function publishEnvelope(topic: string, qos: 0 | 1, protocol: 4 | 5, bodyBytes: number): FrameEnvelope {
  const topicBytes = Buffer.from(topic)
  const variable = Buffer.alloc(2 + topicBytes.length + (qos === 1 ? 2 : 0) + (protocol === 5 ? 1 : 0))
  variable.writeUInt16BE(topicBytes.length, 0)
  variable.set(topicBytes, 2)
  const fixed = Buffer.concat([Buffer.from([0x30 | (qos << 1)]), remainingLength(variable.length + bodyBytes)])
  return {
    head: Buffer.concat([fixed, variable]),
    packetIdAt: qos === 1 ? fixed.length + 2 + topicBytes.length : -1,
    deliveryIdAt: -1,
    deliveryTagAt: -1,
    resentFlag: qos === 1 ? 0x08 : 0,
  }
}

/** The body of one message by itself, for transports without frames: the same bytes for the same number and moment. */
export function bodyText(
  bodyBytes: number,
  sequence: number,
  atMs: number,
  seed: number,
  variants?: BodyVariants,
): string {
  const numbers = `${bodyHead}${sequenceBase + sequence}${atHead}${Math.floor(atMs)}`
  if (variants) return numbers + variants.textOf(sequence, seed)
  const head = `${numbers}${valueHead}${String(valueOfMessage(sequence, seed)).padStart(4, '0')}`
  return `${head.padEnd(bodyBytes - 2, '0123456789abcdef')}"}`
}

function bodyOf(bodyBytes: number): Buffer {
  const head = `${bodyHead}${'0'.repeat(bodyOffsets.sequenceBytes)}${atHead}${'0'.repeat(bodyOffsets.atBytes)}${valueHead}`
  // A template's body may be shorter than one with a value.
  return Buffer.from(`${head.padEnd(bodyBytes - 2, '0123456789abcdef')}"}`, 'latin1').subarray(0, bodyBytes)
}

/** MQTT's variable byte integer [MQTT-2.2.3]. */
export function remainingLength(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return Buffer.from(bytes)
}
