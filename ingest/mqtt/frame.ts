import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { malformed } from './fields.ts'
import type { ProtocolVersion } from './packets.ts'

/**
 * Length of the whole frame that begins at `start`: type byte, remaining length (1 to 4 bytes, least significant group first,
 * MQTT 3.1.1 section 2.2.3), body. 0 while the length itself has not arrived.
 * @param version `undefined` before CONNECT: nothing else may come, and nothing else is waited for [MQTT-3.1.0-1]
 * @throws INGEST_FRAME_MALFORMED, INGEST_FRAME_TOO_LARGE, INGEST_PROTOCOL_ERROR
 */
export function frameBytesOf(bytes: Buffer, start: number, end: number, version: ProtocolVersion | undefined): number {
  const type = (bytes[start] as number) >>> 4
  if (version === undefined && type !== 1)
    throw new PenstockError('INGEST_PROTOCOL_ERROR', 'the first packet must be a CONNECT [MQTT-3.1.0-1]')
  let length = 0
  for (let i = 0; i < 4; i++) {
    const at = start + 1 + i
    if (at >= end) return 0
    const byte = bytes[at] as number
    length += (byte & 0x7f) << (7 * i)
    if (byte < 0x80) {
      if (byte === 0 && i > 0 && version === 5)
        throw malformed('a remaining length of more bytes than it needs [MQTT-1.5.5-1]')
      const lengthMax = version === undefined ? limits.connectPacketBytesMax : limits.packetBytesMax
      if (length > lengthMax) {
        throw new PenstockError(
          'INGEST_FRAME_TOO_LARGE',
          `a packet of ${length} bytes; at most ${lengthMax} are allowed`,
        )
      }
      return 2 + i + length
    }
  }
  throw malformed('a remaining length of more than four bytes')
}
