import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { readConnectPacket } from './connect-reader.ts'
import { brokenTexts, bytes, properties, property, type RawConnect, rawConnect, text } from './raw-packets-fixture.ts'

const malformed = 'INGEST_FRAME_MALFORMED'
const notAllowed = 'INGEST_PROTOCOL_ERROR'
const read = (frame: Buffer) => readConnectPacket(frame, () => {})
const userProperty = property(0x26, Buffer.concat([text('k'), text('v')]))
const will = [text('w'), text('gone')]
const will5 = (own: Buffer = bytes(0)) => [own, ...will]

describe('CONNECT is read as its version has it, and nothing else is [MQTT-3.1.4-1]', () => {
  test('all of its fields, in their order [MQTT-3.1.3-1]', () => {
    const own = properties(
      property(0x11, bytes(0, 0, 0, 7)),
      property(0x17, bytes(0)),
      property(0x19, bytes(1)),
      property(0x21, bytes(0, 1)),
      property(0x22, bytes(0, 0)),
      userProperty,
      property(0x27, bytes(0, 0, 1, 0)),
      userProperty,
    )
    const ofWill = properties(
      property(0x01, bytes(1)),
      property(0x02, bytes(0, 0, 0, 9)),
      property(0x03, text('text/plain')),
      property(0x08, text('r/t')),
      property(0x09, text('id')),
      property(0x18, bytes(0, 0, 0, 5)),
      userProperty,
    )
    const rest = [...will5(ofWill), text('me'), text(bytes(0, 0xff))]
    expect(read(rawConnect(5, { flags: 0xee, properties: own, rest }))).toEqual({
      version: 5,
      isCleanStart: true,
      keepAliveSeconds: 60,
      properties: {
        sessionExpiryInterval: 7,
        requestProblemInformation: 0,
        requestResponseInformation: 1,
        receiveMaximum: 1,
        topicAliasMaximum: 0,
        maximumPacketSize: 256,
        userProperties: new Map([['k', 'v']]),
      },
      clientId: 'd1',
      will: {
        qos: 1,
        isRetained: true,
        properties: {
          payloadFormatIndicator: 1,
          messageExpiryInterval: 9,
          contentType: 'text/plain',
          responseTopic: 'r/t',
          correlationData: Buffer.from('id'),
          willDelayInterval: 5,
          userProperties: new Map([['k', 'v']]),
        },
        topic: 'w',
        payload: Buffer.from('gone'),
      },
      username: 'me',
      password: bytes(0, 0xff),
    })
  })

  const both: readonly (readonly [string, RawConnect, RawConnect, string])[] = [
    ['will QoS 3 [MQTT-3.1.2-12]', { flags: 0x1e, rest: will }, { flags: 0x1e, rest: will5() }, malformed],
    ['will QoS without a will [MQTT-3.1.2-11]', { flags: 0x0a }, { flags: 0x0a }, malformed],
    ['will retain without a will [MQTT-3.1.2-13]', { flags: 0x22 }, { flags: 0x22 }, malformed],
    ['bytes behind the last field', { rest: [bytes(0)] }, { rest: [bytes(0)] }, malformed],
    ['a user name that its flag does not announce', { rest: [text('me')] }, { rest: [text('me')] }, malformed],
    ['a user name that is missing', { flags: 0x82 }, { flags: 0x82 }, malformed],
    ['a password that is missing', { flags: 0xc2, rest: [text('me')] }, { flags: 0x42 }, malformed],
    [
      'a will without a payload',
      { flags: 0x06, rest: [text('w')] },
      { flags: 0x06, rest: [bytes(0), text('w')] },
      malformed,
    ],
    ['a will that is missing', { flags: 0x06 }, { flags: 0x06 }, malformed],
    ...brokenTexts.flatMap(([what, broken]) => [
      [`${what} as client id`, { clientId: broken }, { clientId: broken }, malformed] as const,
      [
        `${what} as user name`,
        { flags: 0x82, rest: [text(broken)] },
        { flags: 0x82, rest: [text(broken)] },
        malformed,
      ] as const,
      [
        `${what} as will topic`,
        { flags: 0x06, rest: [text(broken), text('')] },
        { flags: 0x06, rest: [bytes(0), text(broken), text('')] },
        malformed,
      ] as const,
    ]),
  ]
  test.each(both)('%s is refused in both versions', (_what, old, recent, code) => {
    expect(() => read(rawConnect(4, old))).toThrow(expect.objectContaining({ code }))
    expect(() => read(rawConnect(5, recent))).toThrow(expect.objectContaining({ code }))
  })

  const oneByte = (id: number, value: number) => properties(property(id, bytes(value)))
  const pair = (key: string | Buffer, value: string | Buffer) =>
    properties(property(0x26, Buffer.concat([text(key), text(value)])))
  const ofConnect: readonly (readonly [string, Buffer, string])[] = [
    ['Receive Maximum 0', properties(property(0x21, bytes(0, 0))), notAllowed],
    ['Maximum Packet Size 0', properties(property(0x27, bytes(0, 0, 0, 0))), notAllowed],
    ['Request Problem Information 2', oneByte(0x17, 2), notAllowed],
    ['Request Response Information 2', oneByte(0x19, 2), notAllowed],
    ['a property twice', properties(property(0x21, bytes(0, 1)), property(0x21, bytes(0, 1))), notAllowed],
    ['authentication data without a method', properties(property(0x16, text('x'))), notAllowed],
    ['a topic alias', properties(property(0x23, bytes(0, 1))), malformed],
    ['a will delay beside the will', properties(property(0x18, bytes(0, 0, 0, 1))), malformed],
    ['a property that no packet has', oneByte(0x7e, 0), malformed],
    ['a property that is cut short', properties(property(0x11, bytes(0, 0, 0))), malformed],
    ['properties longer than the packet', bytes(0x7f), malformed],
    ['a property length in more bytes than it needs [MQTT-1.5.5-1]', bytes(0x80, 0), malformed],
    ['a property length of five bytes [MQTT-1.5.5-1]', bytes(0x80, 0x80, 0x80, 0x80, 1), malformed],
    ...brokenTexts.flatMap(([what, broken]) => [
      [`${what} as name of a user property [MQTT-1.5.7-1]`, pair(broken, 'v'), malformed] as const,
      [`${what} as value of a user property [MQTT-1.5.7-1]`, pair('k', broken), malformed] as const,
      [`${what} as authentication method`, properties(property(0x15, text(broken))), malformed] as const,
    ]),
  ]
  test.each(ofConnect)('properties of MQTT 5.0: %s is refused', (_what, own, code) => {
    expect(() => read(rawConnect(5, { properties: own }))).toThrow(expect.objectContaining({ code }))
  })

  test.each([
    ['payload format indicator 9', oneByte(0x01, 9), notAllowed],
    ['a wildcard in the response topic [MQTT-3.3.2-14]', properties(property(0x08, text('a/+'))), notAllowed],
    ['a property twice', properties(property(0x18, bytes(0, 0, 0, 1)), property(0x18, bytes(0, 0, 0, 1))), notAllowed],
    ['a topic alias', properties(property(0x23, bytes(0, 1))), malformed],
    ['a session expiry', properties(property(0x11, bytes(0, 0, 0, 1))), malformed],
  ])('properties of a will: %s is refused', (_what, own, code) => {
    const frame = rawConnect(5, { flags: 0x06, rest: will5(own) })
    expect(() => read(frame)).toThrow(expect.objectContaining({ code }))
  })

  test('a remaining length in more bytes than it needs is refused by 5.0, which says so [MQTT-1.5.5-1]', () => {
    const padded = (version: 4 | 5) => {
      const frame = rawConnect(version)
      return Buffer.concat([bytes(0x10, 0x80 | (frame[1] as number), 0), frame.subarray(2)])
    }
    expect(read(padded(4)).clientId).toBe('d1')
    expect(() => read(padded(5))).toThrow(expect.objectContaining({ code: malformed }))
  })

  test('5.0 is told why, 3.1.1 has no code for it and is closed; neither leaves a will', async () => {
    for (const [version, answer] of [
      [4, undefined],
      [5, 0x81],
    ] as const) {
      const fixture = edgeFixture()
      const { connection, transport } = fixture.connect()
      const rest = version === 5 ? will5() : will
      connection.onChunk(rawConnect(version, { flags: 0x06, rest: [...rest, bytes(0)] }))
      expect([transport.ended, transport.bytes[3]]).toEqual([true, answer])
      await fixture.settle()
      expect(fixture.log.envelopes()).toEqual([])
    }
  })
})
