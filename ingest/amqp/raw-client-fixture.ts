/** For tests: a client of AMQP that writes bytes, also such as no client would, to an edge without sockets. */
import type { Provisioning } from '#ingest/device-api/provisioning.ts'
import { edgeFixture, FakeTransport } from '#ingest/edge-fixture.ts'
import { amqpHeader, frame, frameBytesOf, performatives, saslFrame, saslHeader } from '#runtime/amqp/frames.ts'
import { writeMessage } from '#runtime/amqp/message.ts'
import { type Performative, readFrame } from '#runtime/amqp/performative.ts'
import { described, long, mapOf, symbol, ubyte, uint, type Value } from '#runtime/amqp/write-values.ts'
import { AmqpConnection } from './connection.ts'
import type { OpenServiceSide } from './service-side.ts'

export interface ReadAnswer {
  readonly channel: number
  readonly performative: Performative
  readonly payload: Buffer
}

export function rawClient(fixture = edgeFixture(), openServices?: OpenServiceSide, provisioning?: Provisioning) {
  const transport = new FakeTransport()
  const connection = new AmqpConnection(fixture.edge, transport, { openServices, provisioning })
  const say = (...parts: Uint8Array[]): void => connection.onChunk(Buffer.concat(parts))
  return {
    ...fixture,
    connection,
    transport,
    say,
    /** What was answered since the last call, once all that is decided at once is. */
    answers: async (): Promise<ReadAnswer[]> => {
      // Links and tokens are decided on in promises.
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
      const bytes = Buffer.concat(transport.written.splice(0))
      return framesIn(bytes)
    },
    /** Begins as clients do that prove themselves later. */
    begin: (): void => say(amqpHeader, openFrame(), beginFrame(0)),
  }
}

/** The frames in what a server wrote; headers are left out. */
export function framesIn(bytes: Buffer): ReadAnswer[] {
  const answers: ReadAnswer[] = []
  for (let at = 0; at < bytes.length; ) {
    if (bytes.subarray(at, at + 4).toString() === 'AMQP') {
      at += 8
      continue
    }
    const length = frameBytesOf(bytes, at, bytes.length, 2 ** 30)
    const read = readFrame(bytes, at, at + length)
    if (read !== undefined) {
      const payload = bytes.subarray(read.payloadStart, at + length)
      answers.push({ channel: bytes.readUInt16BE(at + 6), performative: read.performative, payload })
    }
    at += length
  }
  return answers
}

export const header = (isSasl: boolean): Buffer => (isSasl ? saslHeader : amqpHeader)

export function saslInit(mechanism: string, response?: Buffer): Buffer {
  return saslFrame(performatives.saslInit, [symbol(mechanism), response ?? null, null])
}

export function openFrame(idleMs?: number): Buffer {
  const idle = idleMs === undefined ? null : uint(idleMs)
  return frame(0, performatives.open, ['client', 'hub', uint(65_536), null, idle])
}

export function beginFrame(channel: number): Buffer {
  return frame(channel, performatives.begin, [null, uint(0), uint(100), uint(100)])
}

export function attachFrame(
  channel: number,
  handle: number,
  address: string,
  { receives = false, name = `link-${handle}`, settleMode = 2, selector, epoch }: AttachOptions = {},
): Buffer {
  const own = described(receives ? 0x29 : 0x28, [])
  const filter =
    selector === undefined ? null : mapOf([[symbol('apache.org:selector-filter:string'), described(0x00, selector)]])
  const other = described(receives ? 0x28 : 0x29, [address, ...Array<null>(6).fill(null), filter])
  const [source, target] = receives ? [other, own] : [own, other]
  return frame(channel, performatives.attach, [
    name,
    uint(handle),
    receives,
    ubyte(settleMode),
    null,
    source,
    target,
    null,
    null,
    uint(0),
    null,
    null,
    null,
    epoch === undefined ? null : mapOf([[symbol('com.microsoft:epoch'), long(epoch)]]),
  ])
}

interface AttachOptions {
  readonly receives?: boolean
  readonly name?: string
  readonly settleMode?: number
  readonly selector?: string
  readonly epoch?: number
}

export function flowFrame(
  channel: number,
  handle: number,
  credit: number,
  deliveryCount = 0,
  { nextIncomingId = 0, incomingWindow = 2048 } = {},
): Buffer {
  const window = [uint(nextIncomingId), uint(incomingWindow), uint(0), uint(2048)]
  return frame(channel, performatives.flow, [...window, uint(handle), uint(deliveryCount), uint(credit)])
}

export interface SentTransfer {
  readonly channel?: number
  readonly handle?: number
  readonly deliveryId?: number
  readonly format?: number
  readonly settled?: boolean
  readonly more?: boolean
  readonly aborted?: boolean
  readonly payload?: Uint8Array
}

export function transferFrame(sent: SentTransfer): Buffer {
  const { channel = 0, handle = 0, deliveryId, format = 0, settled = false, more = false, aborted = false } = sent
  const fields: Value[] = [
    uint(handle),
    deliveryId === undefined ? null : uint(deliveryId),
    Buffer.from([1]),
    uint(format),
    settled,
    more,
    null,
    null,
    false,
    aborted,
    false,
  ]
  return frame(channel, performatives.transfer, fields, sent.payload ?? dataMessage('x'))
}

export function dataMessage(body: string, properties: Record<string, string> = {}): Buffer {
  return writeMessage({ applicationProperties: Object.entries(properties), body: Buffer.from(body) })
}

export function putToken(deliveryId: number, name: string, token: string, channel = 0, handle = 0): Buffer {
  const payload = writeMessage({
    properties: { messageId: `token-${deliveryId}`, to: '$cbs', replyTo: 'cbs' },
    applicationProperties: [
      ['operation', 'put-token'],
      ['type', 'servicebus.windows.net:sastoken'],
      ['name', name],
    ],
    value: token,
  })
  return transferFrame({ channel, handle, deliveryId, payload })
}
