import { describe, expect, test } from 'vitest'
import { SequenceLedger } from '#loadtest/ledger/ledger.ts'
import { amqpHeader, frame, frameBytesOf, performatives, saslFrame, saslHeader } from '#runtime/amqp/frames.ts'
import { ReadMessage } from '#runtime/amqp/message.ts'
import { type ReadFrame, readFrame } from '#runtime/amqp/performative.ts'
import { described, type Encoded, symbol, ubyte, uint, ushort, type Value } from '#runtime/amqp/write-values.ts'
import { AmqpDialect } from './amqp-dialect.ts'
import { sequenceBase } from './body-layout.ts'
import type { DialectListener } from './dialect.ts'
import { FrameTemplate } from './frames.ts'
import { transferEnvelope } from './transfer-envelope.ts'

const accepted = described(0x24, [])
const rejected = described(0x25, [described(0x1d, [symbol('amqp:decode-error'), 'no'])])

/** What a target says to let a device in, and gives it credit. */
const letIn = (credit: number): Buffer =>
  Buffer.concat([
    saslHeader,
    saslFrame(performatives.saslMechanisms, [symbol('PLAIN')]),
    saslFrame(performatives.saslOutcome, [ubyte(0)]),
    amqpHeader,
    frame(0, performatives.open, ['broker']),
    frame(0, performatives.begin, [ushort(0), uint(0), uint(5_000), uint(5_000)]),
    frame(0, performatives.attach, ['telemetry', uint(0), true]),
    flow(0, credit),
  ])

const flow = (deliveryCount: number, credit: number): Buffer =>
  frame(0, performatives.flow, [
    uint(deliveryCount),
    uint(5_000),
    uint(0),
    uint(0),
    uint(0),
    uint(deliveryCount),
    uint(credit),
  ])

function settles(first: number, last: number, outcome: Encoded = accepted): Buffer {
  return frame(0, performatives.disposition, [true, uint(first), uint(last), true, outcome])
}

function device(options: { qos?: 0 | 1; window?: number; propertyBag?: string } = {}) {
  const { qos = 1, window = 100, propertyBag = '' } = options
  const said: Buffer[] = []
  const told: string[] = []
  const listener: DialectListener = {
    say: (bytes) => said.push(bytes),
    onAccepted: () => told.push('accepted'),
    onRefused: (fault) => told.push(`refused: ${fault}`),
    onEnd: (fault) => told.push(`end: ${fault}`),
    onSettled: (from, to) => told.push(`${from}..${to}`),
  }
  const ledger = new SequenceLedger()
  const envelope = transferEnvelope(propertyBag, 300, qos === 0)
  const template = new FrameTemplate({ envelope, bodyBytes: 300, seed: 1 })
  const account = { username: 'd1@sas.hub', password: 'token' }
  const identity = { deviceId: 'd1', account, localAddress: undefined }
  const address = '/devices/d1/messages/events'
  const dialect = new AmqpDialect(
    { identity, address, hostName: 'hub', template, ledger, qos, window, sharedChannel: undefined },
    listener,
  )
  const hear = (bytes: Buffer): number => dialect.read(bytes, bytes.length)
  return {
    dialect,
    ledger,
    said,
    told,
    hear,
    connect: (credit: number) => {
      dialect.begin()
      hear(letIn(credit))
    },
    /** Writes messages as the connection does. @returns delivery id and sequence number of each */
    send: (first: number, count: number): number[][] => {
      const target = Buffer.alloc(64 * 1024)
      const frames = dialect.fill(target, first, count, false, 1_700_000_000_000)
      ledger.sent = Math.max(ledger.sent, first + frames)
      return framesOf(target.subarray(0, frames * dialect.frameBytes)).map(({ performative, payload }) => {
        const { seq } = JSON.parse(new ReadMessage(payload, 0, payload.length).body.toString())
        expect([performative.code, performative.number(0)]).toEqual([performatives.transfer, 0])
        return [performative.number(1) ?? -1, seq - sequenceBase]
      })
    },
  }
}

function framesOf(bytes: Buffer): (ReadFrame & { readonly payload: Buffer })[] {
  const frames: (ReadFrame & { readonly payload: Buffer })[] = []
  for (let at = 0; at < bytes.length; ) {
    if (bytes.toString('latin1', at, at + 4) === 'AMQP') {
      at += 8
      continue
    }
    const end = at + frameBytesOf(bytes, at, bytes.length, 2 ** 20)
    const read = readFrame(bytes, at, end)
    if (read !== undefined) frames.push({ ...read, payload: bytes.subarray(read.payloadStart, end) })
    at = end
  }
  return frames
}

const fieldsOf = (bytes: Buffer, code: number): Value[] => {
  const found = framesOf(bytes).find(({ performative }) => performative.code === code)?.performative
  return Array.from({ length: 11 }, (_, index) => found?.at(index) as Value)
}

describe('a device that speaks AMQP', () => {
  test('proves itself first, then opens one link to its telemetry, and sends once it has credit', () => {
    const { dialect, said, told, hear } = device()
    const [mechanism, response] = fieldsOf(dialect.begin(), performatives.saslInit)
    expect([mechanism, String(response)]).toEqual(['PLAIN', '\0d1@sas.hub\0token'])
    const answers = letIn(50)
    // Wherever the network cuts, what is whole is read and the rest waits.
    for (let at = 0, rest = Buffer.alloc(0); at < answers.length; at++) {
      rest = Buffer.concat([rest, answers.subarray(at, at + 1)])
      rest = rest.subarray(hear(rest))
    }
    expect(told).toEqual(['accepted'])
    expect([dialect.window, dialect.room(0), dialect.room(20)]).toEqual([50, 50, 30])
    expect(said.length).toBe(1)
    const attach = fieldsOf(said[0] ?? Buffer.alloc(0), performatives.attach)
    expect(attach.slice(0, 4)).toEqual(['telemetry', 0, false, 0])
    expect(JSON.stringify(attach[6])).toContain('/devices/d1/messages/events')
  })

  test('writes no more than the credit of its link and the window of its session allow', () => {
    const { dialect, connect, send, hear } = device()
    connect(50)
    send(0, 30)
    expect(dialect.room(30)).toBe(20)
    hear(flow(10, 50))
    expect(dialect.room(0)).toBe(30)
    hear(frame(0, performatives.flow, [uint(10), uint(25), uint(0), uint(0)]))
    expect([dialect.room(0), dialect.resendRoom()]).toEqual([5, 5])
  })

  test('runs of dispositions settle its messages, also such as no short form holds', () => {
    const { ledger, connect, send, hear, told } = device()
    connect(1_000)
    expect(send(0, 3)).toEqual([0, 1, 2].map((number) => [number, number]))
    send(3, 97)
    hear(settles(0, 9))
    hear(frame(0, performatives.disposition, [true, uint(10), null, false, accepted, false]))
    hear(frame(0, performatives.disposition, [true, uint(11), uint(20), true, null]))
    hear(settles(21, 21, rejected))
    hear(settles(30, 34))
    hear(settles(22, 29))
    expect(told).toEqual(['accepted', '0..10', '10..11', '11..21', '21..22', '22..22', '22..35'])
    const { acknowledged, refused } = ledger.report('d1')
    expect({ acknowledged, refused }).toEqual({
      acknowledged: [
        { from: 0, to: 21 },
        { from: 22, to: 35 },
      ],
      refused: [{ from: 21, to: 22 }],
    })
    expect([ledger.acknowledgedOutOfOrder, ledger.acknowledgedUnexpected]).toEqual([5, 0])
    // What was never sent on this connection is nobody's.
    hear(settles(100, 200))
    expect(ledger.settledTo).toBe(35)
  })

  test('on a new connection what is unsettled is numbered anew, and answers to it settle what it was', () => {
    const { ledger, connect, send, hear } = device()
    connect(100)
    send(0, 20)
    hear(settles(0, 4))
    hear(settles(10, 14))
    connect(100)
    const ranges = ledger.unsettled()
    expect(ranges).toEqual([
      { from: 5, to: 10 },
      { from: 15, to: 20 },
    ])
    const again = ranges.flatMap(({ from, to }) => send(from, to - from))
    const news = send(20, 5)
    expect([...again, ...news].map(([number]) => number)).toEqual(Array.from({ length: 15 }, (_, index) => index))
    expect(again.map(([, sequence]) => sequence)).toEqual([5, 6, 7, 8, 9, 15, 16, 17, 18, 19])
    hear(settles(0, 7))
    expect(ledger.settledTo).toBe(18)
    hear(settles(8, 14))
    expect([ledger.settledTo, ledger.acknowledgedUnexpected]).toEqual([25, 0])
  })

  test('is told why it is not let in, and why its connection ends', () => {
    const unknown = described(0x1d, [symbol('amqp:not-found'), 'nothing is there'])
    const detach = frame(0, performatives.detach, [uint(0), true, unknown])
    const refusedBySasl = device()
    refusedBySasl.dialect.begin()
    refusedBySasl.hear(Buffer.concat([saslHeader, saslFrame(performatives.saslOutcome, [ubyte(1)])]))
    const refusedLink = device()
    refusedLink.connect(0)
    refusedLink.hear(detach)
    const [ended, closed, broken] = [device(), device(), device()]
    for (const each of [ended, closed, broken]) each.connect(1)
    ended.hear(detach)
    closed.hear(frame(0, performatives.close, [null]))
    broken.hear(Buffer.from([0, 0, 0, 2]))
    expect([refusedBySasl, refusedLink, ended, closed, broken].map(({ told }) => told.at(-1))).toEqual([
      'refused: SASL refused with code 1',
      'refused: amqp:not-found: nothing is there',
      'end: amqp:not-found: nothing is there',
      'end: undefined',
      'end: a frame of 2 bytes, fewer than its own head',
    ])
    const other = device()
    other.dialect.begin()
    other.hear(Buffer.from('HTTP/1.1'))
    expect(other.told).toEqual(['end: no header of AMQP from the target'])
  })

  test.each([
    [0, 40],
    [1, 255],
    [1, 256],
    [1, 60_000],
  ] as const)('QoS %i, bodies of %i bytes: a transfer holds properties and body', (qos, bytes) => {
    const bodyBytes = Math.max(48, bytes)
    const envelope = transferEnvelope('room=a%20b&$.ct=application%2Fjson&$.ce=utf-8', bodyBytes, qos === 0)
    const template = new FrameTemplate({ envelope, bodyBytes, seed: 5 })
    template.deliveryOffset = 70_000
    const target = Buffer.alloc(256 * 1024)
    const frames = template.fill(target, 9_990, 3, true, 1_700_000_000_000)
    const read = framesOf(target.subarray(0, frames * template.frameBytes))
    expect(read.map(({ performative }) => performative.number(1))).toEqual([79_990, 79_991, 79_992])
    for (const { performative, payload } of read) {
      expect(performative.at(2)).toEqual(Buffer.from([0, 1, 0x38, (performative.number(1) ?? 0) & 0xff]))
      expect(performative.flag(4)).toBe(qos === 0)
      const message = new ReadMessage(payload, 0, payload.length)
      expect(Object.fromEntries(message.applicationProperties)).toEqual({ room: 'a b' })
      expect([message.field('contentType'), message.field('contentEncoding')]).toEqual(['application/json', 'utf-8'])
      expect(message.body.length).toBe(bodyBytes)
      expect(() => JSON.parse(message.body.toString())).not.toThrow()
    }
  })
})
