/**
 * MQTT 5.0 as a public conformance suite asks for it (LabOverWire/mqtt-lib, crate mqtt5-conformance; Eclipse paho.mqtt.testing): those
 * of their cases that apply to a server that grants no subscription, keeps no session and offers neither QoS 2 nor extended
 * authentication. Over a real socket, packet by packet. A PINGREQ follows each: its answer is the last one if the connection goes on.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { type Listener, listen } from '#ingest/listeners/listener.ts'
import { mqttInBytes } from '#ingest/protocols.ts'
import { limits } from '#schemas/limits.ts'
import {
  bytes,
  packet,
  properties,
  property,
  type RawConnect,
  rawConnect,
  text,
  twoBytes,
} from './raw-packets-fixture.ts'

const { edge, settle, log } = edgeFixture()
let listener: Listener

beforeAll(async () => {
  listener = await listen(edge, mqttInBytes(edge), '127.0.0.1', 0)
})
afterAll(() => listener.stopAccepting())

const hexOf = (values: Uint8Array) => [...values].map((value) => value.toString(16).padStart(2, '0')).join(' ')

/** Each packet of the answer in words; any other first byte than these is a fault. */
function inWords(answer: Buffer): string[] {
  const words: string[] = []
  for (let at = 0; at < answer.length; ) {
    const first = answer[at] as number
    let length = 0
    let start = at + 1
    for (let shift = 0; ; shift += 7) {
      const byte = answer[start++] as number
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    const body = answer.subarray(start, start + length)
    at = start + length
    const id = first === 0x20 || first === 0xe0 || length === 0 ? 0 : body.readUInt16BE(0)
    // CONNACK: no flag is set, whatever it says of a session [MQTT-3.2.2-1] [MQTT-3.2.2-6].
    if (first === 0x20) words.push(`connack ${hexOf(body.subarray(0, 2))}`)
    else if (first === 0x40) words.push(`puback ${id} ${hexOf(body.subarray(2))}`.trim())
    else if (first === 0x90) words.push(`suback ${id} ${hexOf(body.subarray(3))}`)
    else if (first === 0xb0) words.push(`unsuback ${id} ${hexOf(body.subarray(3))}`)
    else if (first === 0xd0) words.push('pingresp')
    else if (first === 0xe0) words.push(`disconnect ${hexOf(body.subarray(0, 1))}`)
    else words.push(`first byte ${hexOf(Buffer.from([first]))}`)
  }
  return words
}

/** Sends all, and gives what was answered until the last PINGREQ was, or the connection closed. */
async function exchange(...frames: readonly Buffer[]): Promise<string[]> {
  const socket = connect(listener.port, '127.0.0.1')
  const received: Buffer[] = []
  const done = new Promise<string[]>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk)
      const words = inWords(Buffer.concat(received))
      if (words.at(-1) === 'pingresp') resolve(words)
    })
    socket.on('close', () => resolve([...inWords(Buffer.concat(received)), 'closed']))
    socket.on('error', () => {})
  })
  await once(socket, 'connect')
  socket.write(Buffer.concat([...frames, packet(0xc0)]))
  const words = await done
  socket.destroy()
  await settle()
  return words
}

let ids = 0
const hello = (more: RawConnect = {}) => rawConnect(5, { clientId: `conformance${ids++}`, ...more })
const accepted = 'connack 00 00'
const none = bytes(0)
const own = (...parts: readonly Buffer[]) => properties(...parts)
const publish = (topic: string | Buffer, given = none, body = 'x') =>
  packet(0x30, text(topic), given, Buffer.from(body))
const publishQos1 = (id: number, topic: string, given = none) =>
  packet(0x32, text(topic), twoBytes(id), given, bytes(1))
const filter = (content: string | Buffer, options = 0) => Buffer.concat([text(content), bytes(options)])
const subscribe = (...filters: readonly Buffer[]) => packet(0x82, twoBytes(9), none, ...filters)
const unsubscribe = (...filters: readonly Buffer[]) => packet(0xa2, twoBytes(9), none, ...filters)
const surrogate = bytes(0xed, 0xa0, 0x80)
const userProperty = (key: string | Buffer, value: string | Buffer) =>
  property(0x26, Buffer.concat([text(key), text(value)]))

describe('CONNECT and CONNACK', () => {
  test.each([
    ['is acknowledged by 0x00, without a session [MQTT-3.1.4-5] [MQTT-3.2.2-2]', hello(), [accepted, 'pingresp']],
    ['without a clean start too [MQTT-3.2.2-3]', hello({ flags: 0 }), [accepted, 'pingresp']],
    [
      'with letters and digits, 23 of them [MQTT-3.1.3-5]',
      hello({ clientId: 'abcdefABCDEF01234567890' }),
      [accepted, 'pingresp'],
    ],
    ['without a client id [MQTT-3.1.3-6]', hello({ clientId: '' }), [accepted, 'pingresp']],
    ['with a will [MQTT-3.1.2-9]', hello({ flags: 0x06, rest: [none, text('w'), text('p')] }), [accepted, 'pingresp']],
    ['with a user name [MQTT-3.1.2-17]', hello({ flags: 0x82, rest: [text('me')] }), [accepted, 'pingresp']],
    ['with a password alone [MQTT-3.1.2-19]', hello({ flags: 0x42, rest: [text('secret')] }), [accepted, 'pingresp']],
    [
      'without the user name that its flag announces [MQTT-3.1.2-17]',
      hello({ flags: 0x82 }),
      ['connack 00 81', 'closed'],
    ],
    [
      'with a user name that no flag announces [MQTT-3.1.2-16]',
      hello({ rest: [text('me')] }),
      ['connack 00 81', 'closed'],
    ],
    [
      'with a client id that is refused [MQTT-3.1.3-8] [MQTT-3.2.2-7]',
      hello({ clientId: 'a/b/c' }),
      ['connack 00 85', 'closed'],
    ],
    ['of another protocol [MQTT-3.1.2-1]', hello({ name: 'XQTT' }), ['closed']],
    ['of a version that is not offered [MQTT-3.1.2-2]', hello({ level: 99 }), ['connack 00 84', 'closed']],
    ['with the reserved flag [MQTT-3.1.2-3]', hello({ flags: 0x03 }), ['connack 00 81', 'closed']],
    ['with will QoS and no will [MQTT-3.1.2-11]', hello({ flags: 0x0a }), ['connack 00 81', 'closed']],
    ['with will retain and no will [MQTT-3.1.2-13]', hello({ flags: 0x22 }), ['connack 00 81', 'closed']],
    [
      'with will QoS 3 [MQTT-3.1.2-12]',
      hello({ flags: 0x1e, rest: [none, text('w'), text('')] }),
      ['connack 00 81', 'closed'],
    ],
    [
      'with will QoS 2 [MQTT-3.2.2-12]',
      hello({ flags: 0x16, rest: [none, text('w'), text('')] }),
      ['connack 00 9b', 'closed'],
    ],
    ['with flags in its first byte [MQTT-2.1.3-1]', hello({ first: 0x11 }), ['connack 00 81', 'closed']],
    [
      'with a property twice [MQTT-3.1.4-1]',
      hello({ properties: own(property(0x21, twoBytes(9)), property(0x21, twoBytes(9))) }),
      ['connack 00 82', 'closed'],
    ],
    [
      'with Maximum Packet Size 0',
      hello({ properties: own(property(0x27, bytes(0, 0, 0, 0))) }),
      ['connack 00 82', 'closed'],
    ],
    ['with Receive Maximum 0', hello({ properties: own(property(0x21, twoBytes(0))) }), ['connack 00 82', 'closed']],
    [
      'with a length that is not minimal [MQTT-1.5.5-1]',
      hello({ properties: bytes(0x80, 0) }),
      ['connack 00 81', 'closed'],
    ],
    [
      'with a will topic that is not UTF-8 [MQTT-3.1.3-11]',
      hello({ flags: 0x06, rest: [none, text(surrogate), text('')] }),
      ['connack 00 81', 'closed'],
    ],
    [
      'with a user name that is not UTF-8 [MQTT-3.1.3-12]',
      hello({ flags: 0x82, rest: [text(surrogate)] }),
      ['connack 00 81', 'closed'],
    ],
    ['with a client id that is not UTF-8 [MQTT-3.1.3-4]', hello({ clientId: surrogate }), ['connack 00 81', 'closed']],
    [
      'that asks for extended authentication [MQTT-4.12.0-1]',
      hello({ properties: own(property(0x15, text('SCRAM-SHA-1'))) }),
      ['connack 00 8c', 'closed'],
    ],
    [
      'that takes no more than 5 bytes [MQTT-3.2.2-19]',
      hello({ clientId: 'a b', properties: own(property(0x27, bytes(0, 0, 0, 5))) }),
      ['connack 00 85', 'closed'],
    ],
    ['after another packet [MQTT-3.1.0-1] [MQTT-3.14.0-1]', Buffer.concat([publish('t'), hello()]), ['closed']],
    [
      'that is shorter than it says [MQTT-3.1.4-1]',
      packet(0x10, text('MQTT'), bytes(5, 2, 0)),
      ['connack 00 81', 'closed'],
    ],
  ] as const)('a CONNECT %s', async (_what, frame, words) => {
    expect(await exchange(frame)).toEqual(words)
  })

  test('two clients without an id have ids of their own [MQTT-3.2.2-16]', async () => {
    const sockets = [0, 1].map(() => connect(listener.port, '127.0.0.1'))
    const assigned = await Promise.all(
      sockets.map(async (socket) => {
        socket.write(hello({ clientId: '' }))
        return /anonymous-[0-9a-f-]{36}/.exec(String((await once(socket, 'data'))[0]))?.[0]
      }),
    )
    expect(new Set(assigned).size).toBe(2)
    expect(assigned).not.toContain(undefined)
    for (const socket of sockets) socket.destroy()
  })

  test('a client that connects again ends its older connection with 0x8E [MQTT-3.1.4-3]', async () => {
    const clientId = 'taken'
    const older = connect(listener.port, '127.0.0.1')
    older.write(hello({ clientId }))
    await once(older, 'data')
    const closed = once(older, 'close')
    const farewell = once(older, 'data')
    expect(await exchange(hello({ clientId }))).toEqual([accepted, 'pingresp'])
    expect(inWords((await farewell)[0] as Buffer)).toEqual(['disconnect 8e'])
    await closed
  })
})

describe('behind the CONNACK', () => {
  const malformed = ['disconnect 81', 'closed']
  const notAllowed = ['disconnect 82', 'closed']
  const alias = (value: number) => own(property(0x23, twoBytes(value)))
  test.each([
    ['a second CONNECT [MQTT-3.1.0-2]', hello(), notAllowed],
    [
      'PINGREQ three times [MQTT-3.12.4-1]',
      Buffer.concat([packet(0xc0), packet(0xc0)]),
      ['pingresp', 'pingresp', 'pingresp'],
    ],
    ['PUBLISH of QoS 2 [MQTT-3.2.2-11]', packet(0x34, text('t'), twoBytes(1), none), ['disconnect 9b', 'closed']],
    ['PUBLISH of QoS 3 [MQTT-3.3.1-4]', packet(0x36, text('t'), twoBytes(1), none), malformed],
    ['PUBLISH of QoS 0 with DUP [MQTT-3.3.1-2]', packet(0x38, text('t'), none), malformed],
    ['PUBLISH with packet id 0 [MQTT-2.2.1-3]', publishQos1(0, 't'), malformed],
    ['PUBLISH with a wildcard [MQTT-3.3.2-2]', publish('t/#'), malformed],
    ['PUBLISH without a topic [MQTT-3.3.2-1]', publish(''), notAllowed],
    ['PUBLISH with a null character [MQTT-4.7.3-2]', publish('a\0b'), malformed],
    ['PUBLISH with a surrogate [MQTT-1.5.4-1]', publish(surrogate), malformed],
    ['PUBLISH with the longest topic [MQTT-4.7.3-3]', publishQos1(1, 'x'.repeat(65_535)), ['puback 1 90', 'pingresp']],
    ['PUBLISH with topic alias 0 [MQTT-3.3.2-8]', publish('t', alias(0)), ['disconnect 94', 'closed']],
    ['PUBLISH with an alias of another connection [MQTT-3.3.2-7]', publish('', alias(1)), ['disconnect 94', 'closed']],
    [
      'PUBLISH with an alias above the maximum [MQTT-3.3.2-9]',
      publish('t', alias(limits.topicAliasMax + 1)),
      ['disconnect 94', 'closed'],
    ],
    ['PUBLISH with a subscription id [MQTT-3.3.4-6]', publish('t', own(property(0x0b, bytes(1)))), malformed],
    [
      'PUBLISH with a wildcard in its response topic [MQTT-3.3.2-14]',
      publish('t', own(property(0x08, text('a/+')))),
      notAllowed,
    ],
    [
      'PUBLISH with a response topic that is not UTF-8 [MQTT-3.3.2-13]',
      publish('t', own(property(0x08, text(surrogate)))),
      malformed,
    ],
    ['PUBLISH with payload format 9', publish('t', own(property(0x01, bytes(9)))), notAllowed],
    [
      'PUBLISH with a content type that is not UTF-8 [MQTT-3.3.2-19]',
      publish('t', own(property(0x03, text(surrogate)))),
      malformed,
    ],
    [
      'PUBLISH with a user property that is not UTF-8 [MQTT-1.5.7-1]',
      publish('t', own(userProperty(surrogate, 'v'))),
      malformed,
    ],
    [
      'SUBSCRIBE [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6]',
      subscribe(filter('a', 1), filter('b/#', 2)),
      ['suback 9 87 87', 'pingresp'],
    ],
    ['SUBSCRIBE with other reserved bits [MQTT-3.8.1-1]', packet(0x80, twoBytes(9), none, filter('a')), malformed],
    ['SUBSCRIBE without a filter [MQTT-3.8.3-2]', subscribe(), notAllowed],
    ['SUBSCRIBE with reserved options [MQTT-3.8.3-5]', subscribe(filter('a', 0xc0)), malformed],
    ['SUBSCRIBE to what is not UTF-8 [MQTT-3.8.3-1]', subscribe(filter(surrogate)), malformed],
    [
      'SUBSCRIBE to filters that are none [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1]',
      subscribe(filter('a/#/b'), filter('a#'), filter('a+'), filter('')),
      ['suback 9 8f 8f 8f 8f', 'pingresp'],
    ],
    [
      'SUBSCRIBE to a shared filter [MQTT-4.8.2-1] [MQTT-4.8.2-2]',
      subscribe(filter('$share/g/a'), filter('$share/g'), filter('$share/a+/a')),
      ['suback 9 9e 8f 8f', 'pingresp'],
    ],
    ['SUBSCRIBE to a shared filter, no local [MQTT-3.8.3-4]', subscribe(filter('$share/g/a', 4)), notAllowed],
    [
      'UNSUBSCRIBE [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-1]',
      unsubscribe(text('a'), text('b')),
      ['unsuback 9 11 11', 'pingresp'],
    ],
    ['UNSUBSCRIBE with other reserved bits [MQTT-3.10.1-1]', packet(0xa0, twoBytes(9), none, text('a')), malformed],
    ['UNSUBSCRIBE without a filter [MQTT-3.10.3-2]', unsubscribe(), notAllowed],
    ['UNSUBSCRIBE from what is not UTF-8 [MQTT-3.10.3-1]', unsubscribe(text(surrogate)), malformed],
    ['PUBREL with other reserved bits [MQTT-3.6.1-1]', packet(0x60, twoBytes(1)), malformed],
    ['AUTH that was not asked for [MQTT-4.12.0-1]', packet(0xf0, bytes(0x18)), notAllowed],
    ['AUTH with reserved bits [MQTT-3.15.1-1]', packet(0xf1, bytes(0x18)), malformed],
    [
      'DISCONNECT, and nothing behind it [MQTT-3.14.4-1]',
      Buffer.concat([packet(0xe0), publishQos1(1, 't')]),
      ['closed'],
    ],
    ['DISCONNECT with a reason [MQTT-3.14.2-1]', packet(0xe0, bytes(0x80)), ['closed']],
    ['DISCONNECT with a reason that is none [MQTT-3.14.2-1]', packet(0xe0, bytes(0x03)), notAllowed],
    ['DISCONNECT with reserved bits [MQTT-3.14.1-1]', packet(0xe1, none), malformed],
    ['packet type 0', packet(0x00), malformed],
    ['a length of five bytes [MQTT-1.5.5-1]', bytes(0x30, 0xff, 0xff, 0xff, 0xff, 1), malformed],
    ['a packet above the maximum', packet(0x30, Buffer.alloc(limits.packetBytesMax + 1)), ['disconnect 95', 'closed']],
  ] as const)('%s', async (_what, frame, words) => {
    const [connack, ...answers] = await exchange(hello(), frame)
    expect(connack).toBe(accepted)
    expect(answers).toEqual(words)
  })

  test('PUBLISH of QoS 1 is acknowledged under its packet id [MQTT-3.3.4-1] [MQTT-2.2.1-5]', async () => {
    const socket = connect(listener.port, '127.0.0.1')
    const received: Buffer[] = []
    socket.on('data', (chunk: Buffer) => received.push(chunk))
    socket.write(Buffer.concat([hello(), publishQos1(513, 't')]))
    await expect.poll(() => inWords(Buffer.concat(received))).toEqual([accepted, 'puback 513'])
    socket.destroy()
  })

  test('a text with U+FEFF keeps it [MQTT-1.5.4-3]', async () => {
    const before = log.envelopes().length
    await exchange(hello(), publish('\ufeffa'))
    expect(
      log
        .envelopes()
        .slice(before)
        .map(({ systemProperties: { topic } }) => topic),
    ).toEqual(['\ufeffa'])
  })

  test('an alias stands for its topic, and for another one once that is set [MQTT-3.3.2-12]', async () => {
    const before = log.envelopes().length
    await exchange(
      hello(),
      publish('a', alias(2)),
      publish('', alias(2)),
      publish('b', alias(2)),
      publish('', alias(2)),
    )
    expect(
      log
        .envelopes()
        .slice(before)
        .map(({ systemProperties: { topic } }) => topic),
    ).toEqual(['a', 'a', 'b', 'b'])
  })
})
