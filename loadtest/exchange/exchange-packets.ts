/** The packets that a device of a load test writes and reads besides those of telemetry: SUBSCRIBE, and PUBLISH both ways. */
import { remainingLength } from '#loadtest/generate/frames.ts'

/** A PUBLISH that came. `body` is valid during the call only. */
export interface ReceivedPublish {
  readonly topic: string
  readonly body: Buffer
  /** Undefined with QoS 0. */
  readonly packetId: number | undefined
}

/** SUBSCRIBE [MQTT-3.8] to all filters with one QoS. */
export function subscribePacket(filters: readonly string[], qos: 0 | 1, protocol: 4 | 5): Buffer {
  const parts = filters.flatMap((filter) => [textBytes(filter), Buffer.from([qos])])
  return packet(0x82, [twoBytes(1), ...noProperties(protocol), ...parts])
}

/** PUBLISH [MQTT-3.3] with QoS 0. */
export function publishPacket(topic: string, body: string, protocol: 4 | 5): Buffer {
  return packet(0x30, [textBytes(topic), ...noProperties(protocol), Buffer.from(body)])
}

/** PUBACK [MQTT-3.4]; in 5.0 without a reason code, which is success. */
export function pubackPacket(packetId: number): Buffer {
  return packet(0x40, [twoBytes(packetId)])
}

/** @param flags low half of the first byte @param rest behind the remaining length */
export function readPublish(flags: number, rest: Buffer, protocol: 4 | 5): ReceivedPublish {
  const topicEnd = 2 + rest.readUInt16BE(0)
  const qos = (flags >> 1) & 3
  let at = topicEnd + (qos === 0 ? 0 : 2)
  if (protocol === 5) {
    const { value, next } = variableInteger(rest, at)
    at = next + value
  }
  return {
    topic: rest.toString('utf8', 2, topicEnd),
    body: rest.subarray(at),
    packetId: qos === 0 ? undefined : rest.readUInt16BE(topicEnd),
  }
}

/**
 * Cuts a byte stream into packets.
 * @throws RangeError at a length of more than four bytes
 */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0)

  /** @param bytes valid during the call only @param onPacket gets the first byte and what stands behind the remaining length */
  read(bytes: Buffer, onPacket: (first: number, rest: Buffer) => void): void {
    let buffer = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    for (;;) {
      const end = packetEnd(buffer)
      if (end === undefined || end.end > buffer.length) break
      onPacket(buffer[0] ?? 0, buffer.subarray(end.bodyAt, end.end))
      buffer = buffer.subarray(end.end)
    }
    this.#rest = Buffer.from(buffer)
  }
}

function packetEnd(buffer: Buffer): { readonly bodyAt: number; readonly end: number } | undefined {
  const lengthEnd = buffer.subarray(1, 5).findIndex((byte) => byte < 0x80)
  if (lengthEnd < 0) {
    if (buffer.length >= 5) throw new RangeError('a remaining length of more than four bytes')
    return undefined
  }
  const { value, next } = variableInteger(buffer, 1)
  return { bodyAt: next, end: next + value }
}

function variableInteger(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  let value = 0
  for (let shift = 0, next = at; shift < 28; shift += 7) {
    const byte = bytes[next++] ?? 0
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) return { value, next }
  }
  throw new RangeError('a length of more than four bytes')
}

function packet(first: number, parts: readonly Buffer[]): Buffer {
  const rest = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([first]), remainingLength(rest.length), rest])
}

function textBytes(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([twoBytes(bytes.length), bytes])
}

function twoBytes(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

function noProperties(protocol: 4 | 5): readonly Buffer[] {
  return protocol === 5 ? [Buffer.from([0])] : []
}
