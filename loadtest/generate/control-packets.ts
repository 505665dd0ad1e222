/** The few MQTT packets besides PUBLISH that a load generator writes, and what it reads from a CONNACK. */
import { remainingLength } from './frames.ts'

export const pingRequest = Buffer.from([0xc0, 0x00])
export const disconnect = Buffer.from([0xe0, 0x00])

/** A generator answers to nothing else, so the interval only has to be longer than its pings are apart. */
export const keepAliveSeconds = 120

/** Seconds a server of MQTT 5 should keep the session after a lost connection, so that a re-send belongs to it. */
const sessionExpirySeconds = 300

/** User name and password of a CONNECT. */
export interface Account {
  readonly username: string
  readonly password: string
}

/** CONNECT [MQTT-3.1]: keeps its session, so that unacknowledged messages may be sent again with DUP=1 [MQTT-4.4.0-1]. */
export function connectPacket(clientId: string, protocol: 4 | 5, account?: Account): Buffer {
  const head = Buffer.from([
    0,
    4,
    0x4d,
    0x51,
    0x54,
    0x54,
    protocol,
    account ? 0xc0 : 0x00,
    keepAliveSeconds >> 8,
    keepAliveSeconds & 0xff,
  ])
  const properties = Buffer.from([5, 0x11, 0, 0, sessionExpirySeconds >> 8, sessionExpirySeconds & 0xff])
  const payload = [clientId, ...(account ? [account.username, account.password] : [])].map(lengthPrefixed)
  const rest = Buffer.concat(protocol === 5 ? [head, properties, ...payload] : [head, ...payload])
  return Buffer.concat([Buffer.from([0x10]), remainingLength(rest.length), rest])
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

export interface ConnectAnswer {
  /** 0 accepts; the norm's return code (3.1.1) or reason code (5) otherwise. */
  readonly code: number
  /** Most QoS 1 messages the server takes unacknowledged. */
  readonly receiveMaximum: number
}

/** Reads a CONNACK's variable header and properties (MQTT 5 §3.2.2.3). */
export function connectAnswerOf(body: Buffer, protocol: 4 | 5): ConnectAnswer {
  let receiveMaximum = 65_535
  if (protocol === 5 && body.length > 2) {
    let at = 3
    const end = Math.min(body.length, 3 + (body[2] ?? 0))
    while (at < end) {
      const id = body[at] ?? 0
      if (id === 0x21) receiveMaximum = body.readUInt16BE(at + 1)
      at += 1 + propertyBytes(id, body, at + 1)
    }
  }
  return { code: body[1] ?? 0x80, receiveMaximum }
}

/** Length of a CONNACK property's value. */
function propertyBytes(id: number, body: Buffer, at: number): number {
  switch (id) {
    case 0x24:
    case 0x25:
    case 0x28:
    case 0x29:
    case 0x2a:
      return 1
    case 0x13:
    case 0x21:
    case 0x22:
      return 2
    case 0x11:
    case 0x27:
      return 4
    case 0x26: {
      const key = 2 + body.readUInt16BE(at)
      return key + 2 + body.readUInt16BE(at + key)
    }
    default:
      return 2 + body.readUInt16BE(at)
  }
}
