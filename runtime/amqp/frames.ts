/**
 * Frames of AMQP 1.0 (part 2, section 2.3), and the protocol headers before them:
 *
 *   size 4, with itself │ data offset 1, in words of 4 │ type 1 │ channel 2 │ more header, skipped │ performative │ payload
 *   "AMQP" │ protocol 1: 0 AMQP, 3 SASL │ 1 │ 0 │ 0
 */
import { PenstockError } from '#schemas/errors.ts'
import { malformed } from './read-values.ts'
import { described, type Encoded, encode, type Value } from './write-values.ts'

export const headerBytes = 8
export const frameHeadBytes = 8
export const frameTypes = { amqp: 0, sasl: 1 } as const
export const amqpHeader = Buffer.from('AMQP\x00\x01\x00\x00', 'latin1')
export const saslHeader = Buffer.from('AMQP\x03\x01\x00\x00', 'latin1')
export const emptyFrame = Buffer.from([0, 0, 0, 8, 2, 0, 0, 0])

/** Codes of the types of the norm that describe performatives. */
export const performatives = {
  open: 0x10,
  begin: 0x11,
  attach: 0x12,
  flow: 0x13,
  transfer: 0x14,
  disposition: 0x15,
  detach: 0x16,
  end: 0x17,
  close: 0x18,
  saslMechanisms: 0x40,
  saslInit: 0x41,
  saslChallenge: 0x42,
  saslResponse: 0x43,
  saslOutcome: 0x44,
} as const

/**
 * Length of the frame that begins at `start`, 0 while it has not arrived.
 * @param bytesMax that it may have @throws INGEST_FRAME_MALFORMED, INGEST_FRAME_TOO_LARGE: before a byte of it is kept
 */
export function frameBytesOf(bytes: Buffer, start: number, end: number, bytesMax: number): number {
  if (end - start < 4) return 0
  const length = bytes.readUInt32BE(start)
  if (length < frameHeadBytes) throw malformed(`a frame of ${length} bytes, fewer than its own head`)
  if (length > bytesMax)
    throw new PenstockError('INGEST_FRAME_TOO_LARGE', `a frame of ${length} bytes; at most ${bytesMax} are allowed`)
  return length
}

/** Where the performative begins in the frame at `start`. @throws INGEST_FRAME_MALFORMED */
export function bodyStartOf(bytes: Buffer, start: number, end: number): number {
  const offset = (bytes[start + 4] as number) * 4
  if (offset < frameHeadBytes || start + offset > end) throw malformed('a data offset that is not in the frame')
  return start + offset
}

/** One frame. Fields are written to their end: some clients read behind a list that ends early. */
export function frame(channel: number, performative: number, fields: readonly Value[], payload?: Uint8Array): Buffer {
  return frameOf(frameTypes.amqp, channel, described(performative, fields), payload)
}

export function saslFrame(performative: number, fields: readonly Value[]): Buffer {
  return frameOf(frameTypes.sasl, 0, described(performative, fields), undefined)
}

function frameOf(type: number, channel: number, body: Encoded, payload: Uint8Array | undefined): Buffer {
  const content = encode(body)
  const bytes = Buffer.alloc(frameHeadBytes + content.length + (payload?.length ?? 0))
  bytes.writeUInt32BE(bytes.length)
  bytes[4] = 2
  bytes[5] = type
  bytes.writeUInt16BE(channel, 6)
  bytes.set(content, frameHeadBytes)
  if (payload !== undefined) bytes.set(payload, frameHeadBytes + content.length)
  return bytes
}
