import { amqpHeader, frameBytesOf, headerBytes, saslHeader } from '#runtime/amqp/frames.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** What comes next on a connection. While it is decided who sends, nothing is read. */
export type FramePhase = 'anyHeader' | 'sasl' | 'saslDeciding' | 'amqpHeader' | 'open' | 'opened'

export interface Measured {
  readonly phase: FramePhase
  /** It is known who sends. */
  readonly isProven: boolean
}

/** Length of the header or frame at `start`, 0 while that is not known. @throws INGEST_FRAME_MALFORMED, INGEST_FRAME_TOO_LARGE, INGEST_PROTOCOL_ERROR */
export function measureFrame(bytes: Buffer, start: number, end: number, { phase, isProven }: Measured): number {
  switch (phase) {
    case 'anyHeader':
      return header(end - start > 4 && bytes[start + 4] === 0 ? amqpHeader : saslHeader, bytes, start, end)
    case 'amqpHeader':
      return header(amqpHeader, bytes, start, end)
    case 'sasl':
      return frameBytesOf(bytes, start, end, limits.amqpSaslFrameBytesMax)
    case 'saslDeciding':
      return 0
    default:
      return frameBytesOf(bytes, start, end, isProven ? limits.amqpFrameBytesMax : limits.amqpFirstFramesBytesMax)
  }
}

/** A client of another protocol is known by its first wrong byte. */
function header(wanted: Buffer, bytes: Buffer, start: number, end: number): number {
  for (let at = 0; at < Math.min(headerBytes, end - start); at++)
    if (bytes[start + at] !== wanted[at])
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'these bytes are not AMQP 1.0')
  return headerBytes
}
