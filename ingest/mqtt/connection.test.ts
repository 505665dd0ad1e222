import mqttPacket, { type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { createSasToken, expiresAtMsOf, parseSasToken } from '#control/auth/sas-token.ts'
import { edgeFixture, type FakeTransport } from '#ingest/edge-fixture.ts'
import { tickMs } from '#ingest/session/edge-context.ts'
import { trustClientId } from '#ingest/session/identity.ts'
import { pauseReasons } from '#ingest/session/pause-reasons.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

type Version = 4 | 5

function connectPacket(version: Version, clientId = 'd1', more: Partial<IConnectPacket> = {}): Buffer {
  return mqttPacket.generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId,
    clean: true,
    keepalive: 60,
    ...more,
  } as IConnectPacket)
}

function publishPacket(version: Version, more: Partial<IPublishPacket> = {}): Buffer {
  return mqttPacket.generate(
    {
      cmd: 'publish',
      topic: 'devices/d1/messages/events/',
      payload: 'hello',
      qos: 1,
      messageId: 1,
      dup: false,
      retain: false,
      ...more,
    },
    { protocolVersion: version },
  )
}

function packetsIn(transport: FakeTransport, version: Version): Packet[] {
  const packets: Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion: version })
  parser.on('packet', (packet: Packet) => packets.push(packet))
  parser.on('error', (error: Error) => {
    throw error
  })
  parser.parse(transport.bytes)
  return packets
}

function open(version: Version, clientId = 'd1', more: Partial<IConnectPacket> = {}) {
  const fixture = edgeFixture()
  const { connection, transport } = fixture.connect()
  connection.onChunk(connectPacket(version, clientId, more))
  return { fixture, connection, transport }
}

/** The reason code that ended a connection: DISCONNECT with 5.0, nothing but the close with 3.1.1. */
function endOf(transport: FakeTransport, version: Version): number | undefined {
  expect(transport.ended).toBe(true)
  const last = packetsIn(transport, version).at(-1)
  return last?.cmd === 'disconnect' ? last.reasonCode : undefined
}

describe('CONNECT', () => {
  test.each([4, 5] as const)('level %i is accepted without a session present [MQTT-3.2.2-2]', (version) => {
    const { transport } = open(version)
    expect(packetsIn(transport, version)[0]).toMatchObject({
      cmd: 'connack',
      sessionPresent: false,
      [version === 5 ? 'reasonCode' : 'returnCode']: 0,
    })
    expect(transport.ended).toBe(false)
  })

  test('5.0 is told the limits it must keep to [MQTT-3.2.2-9]', () => {
    const { transport } = open(5, '', { keepalive: 0, properties: { sessionExpiryInterval: 100 } })
    const connack = packetsIn(transport, 5)[0]
    expect(connack).toMatchObject({
      properties: {
        maximumQoS: 1,
        maximumPacketSize: limits.packetBytesMax,
        topicAliasMaximum: limits.topicAliasMax,
        serverKeepAlive: limits.keepAliveSecondsMax,
        sessionExpiryInterval: 0,
        assignedClientIdentifier: expect.stringMatching(/^anonymous-/),
      },
    })
  })

  test.each([
    [3, 'MQIsdp', '20020001'],
    [3, 'MQTT', '20020001'],
    [6, 'MQTT', '2003008400'],
    [0x85, 'MQTT', '2003008400'],
    [0x84, 'MQTT', '20020001'],
    [0x83, 'MQIsdp', '20020001'],
  ])('level %i of %s is refused with its code [MQTT-3.1.2-2]', (level, name, answer) => {
    const { connect } = edgeFixture()
    const { connection, transport } = connect()
    const body = Buffer.concat([
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([level, 2, 0, 60, 0, 1, 97]),
    ])
    connection.onChunk(Buffer.concat([Buffer.from([0x10, body.length]), body]))
    expect(transport.bytes.toString('hex')).toBe(answer)
    expect(transport.ended).toBe(true)
  })

  test.each([
    ['another packet first [MQTT-3.1.0-1]', Buffer.from([0xc0, 0])],
    ['a wrong protocol name [MQTT-3.1.2-1]', Buffer.from('100d00045151545404020000000161', 'hex')],
    ['the reserved flag set [MQTT-3.1.2-3]', Buffer.from('100d00044d51545404030000000161', 'hex')],
    ['a password without a user name [MQTT-3.1.2-22]', Buffer.from('101000044d5154540442003c0001610001' + '70', 'hex')],
    ['will QoS without a will [MQTT-3.1.2-11]', Buffer.from('100d00044d5154540408003c000161', 'hex')],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['TLS', Buffer.from('1603010200010001fc0303', 'hex')],
  ])('%s closes without an answer', (_name, bytes) => {
    const { connect, count } = edgeFixture()
    const { connection, transport } = connect()
    connection.onChunk(bytes)
    expect(transport.ended).toBe(true)
    expect(transport.bytes.length).toBe(0)
    expect(count('penstock_edge_connections_closed_total')).toBe(1)
    expect(count('penstock_edge_connections')).toBe(0)
  })

  test('a second CONNECT ends the connection [MQTT-3.1.0-2]', () => {
    const { connection, transport } = open(5)
    connection.onChunk(connectPacket(5))
    expect(endOf(transport, 5)).toBe(0x82)
  })

  test.each(['a b', 'a;b', 'a/b/c', 'ü', 'x'.repeat(129), '/a', 'a/'])(
    'client id %s is refused with a code',
    (clientId) => {
      for (const version of [4, 5] as const) {
        const { transport } = open(version, clientId)
        expect(packetsIn(transport, version)[0]).toMatchObject(version === 5 ? { reasonCode: 0x85 } : { returnCode: 2 })
        expect(transport.ended).toBe(true)
      }
    },
  )

  test('an authentication method is refused as such [MQTT-4.12.0-1]', () => {
    const { transport } = open(5, 'd1', { properties: { authenticationMethod: 'SCRAM-SHA-1' } })
    expect(packetsIn(transport, 5)).toMatchObject([{ cmd: 'connack', reasonCode: 0x8c }])
    expect(transport.ended).toBe(true)
  })

  test.each([
    ['refused for its client id', { clientId: 'a b' }, 0x85],
    ['refused for its identity', { clientId: 'stranger' }, 0x87],
    ['accepted, and then ended', { clientId: 'd1' }, 0x82],
  ])('%s: no packet is longer than the client takes [MQTT-3.2.2-19] [MQTT-3.1.2-24]', (_name, more, code) => {
    const told = (maximumPacketSize: number): Packet[] => {
      const { connection, transport } = edgeFixture({
        authenticate: (credentials) => {
          if (credentials.clientId === 'stranger') throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
          return trustClientId(credentials)
        },
      }).connect()
      connection.onChunk(connectPacket(5, 'd1', { ...more, properties: { maximumPacketSize } }))
      connection.onChunk(connectPacket(5))
      expect(transport.ended).toBe(true)
      for (const { length } of transport.written) expect(length).toBeLessThanOrEqual(maximumPacketSize)
      return packetsIn(transport, 5)
    }
    expect(told(1000).at(-1)).toMatchObject({ reasonCode: code, properties: { reasonString: expect.any(String) } })
    const brief = told(code === 0x82 ? open(5).transport.bytes.length : 5)
    expect(brief.at(-1)).toMatchObject({ reasonCode: code })
    expect(brief.at(-1)).not.toHaveProperty('properties.reasonString')
    expect(told(4)).toEqual([])
  })

  test('a client that takes no CONNACK of the needed length is refused; it takes over from nobody and leaves no will', async () => {
    const { fixture, transport } = open(5)
    const small = fixture.connect()
    const will = { topic: 'devices/d1/messages/events/', payload: Buffer.from('bye'), qos: 0 as const, retain: false }
    const maximumPacketSize = transport.bytes.length - 1
    small.connection.onChunk(connectPacket(5, 'd1', { will, properties: { maximumPacketSize } }))
    expect(packetsIn(small.transport, 5)).toMatchObject([{ cmd: 'connack', reasonCode: 0x95 }])
    expect([small.transport.ended, transport.ended]).toEqual([true, false])
    await fixture.settle()
    expect(fixture.log.envelopes()).toEqual([])
  })

  test('an empty client id without a clean session is refused [MQTT-3.1.3-8]', () => {
    const { connection, transport } = edgeFixture().connect()
    connection.onChunk(Buffer.from('100c00044d5154540400003c0000', 'hex'))
    expect(packetsIn(transport, 4)[0]).toMatchObject({ returnCode: 2 })
  })

  test('the newer connection of a client id ends the older one [MQTT-3.1.4-2]', () => {
    const { fixture, transport } = open(5)
    const second = fixture.connect()
    second.connection.onChunk(connectPacket(5))
    expect(endOf(transport, 5)).toBe(0x8e)
    expect(second.transport.ended).toBe(false)
    expect(fixture.edge.sessions.get('d1')?.carrier).toBe(second.connection)
  })

  test('packets sent before a slow identity is known wait for it, in order', async () => {
    let decide: (identity: { deviceId: string; moduleId: undefined; expiresAtMs: undefined }) => void = () => {}
    const fixture = edgeFixture({ authenticate: () => new Promise((resolve) => (decide = resolve)) })
    const { connection, transport } = fixture.connect()
    connection.onChunk(
      Buffer.concat([
        connectPacket(4),
        publishPacket(4, { payload: '1' }),
        publishPacket(4, { payload: '2' }).subarray(0, 9),
      ]),
    )
    connection.onChunk(publishPacket(4, { payload: '2' }).subarray(9))
    expect(transport.paused).toBe(true)
    expect(transport.bytes.length).toBe(0)
    decide({ deviceId: 'd1', moduleId: undefined, expiresAtMs: undefined })
    await new Promise(setImmediate)
    await fixture.settle()
    expect(fixture.log.envelopes().map(({ body }) => String(body))).toEqual(['1', '2'])
    expect(packetsIn(transport, 4).map(({ cmd }) => cmd)).toEqual(['connack', 'puback', 'puback'])
  })

  test('an identity that is refused gets the code for it [G-6]', async () => {
    const fixture = edgeFixture({
      authenticate: async () => Promise.reject(new PenstockError('INGEST_NOT_AUTHORIZED', 'no')),
    })
    for (const version of [4, 5] as const) {
      const { connection, transport } = fixture.connect()
      connection.onChunk(connectPacket(version))
      await new Promise(setImmediate)
      expect(packetsIn(transport, version)[0]).toMatchObject(version === 5 ? { reasonCode: 0x87 } : { returnCode: 5 })
      expect(transport.ended).toBe(true)
    }
  })
})

describe('PUBLISH', () => {
  test('property bag, module and system properties come into the envelope', async () => {
    const { fixture, connection } = open(4, 'd1/m1')
    const topic =
      'devices/d1/modules/m1/messages/events/%24.mid=m%201&%24.ct=application%2Fjson&$.ce=utf-8&level=hot&flag&%24.cdid=other/'
    connection.onChunk(publishPacket(4, { topic }))
    await fixture.settle()
    expect(fixture.log.envelopes()[0]).toMatchObject({
      deviceId: 'd1',
      properties: { level: 'hot', flag: '' },
      systemProperties: { messageId: 'm 1', contentType: 'application/json', contentEncoding: 'utf-8', moduleId: 'm1' },
    })
    expect(fixture.log.envelopes()[0]!.systemProperties).not.toHaveProperty('$.cdid')
  })

  test('any other topic is kept as system property; RETAIN becomes a property', async () => {
    const { fixture, connection } = open(4)
    connection.onChunk(publishPacket(4, { topic: 'plant/7', retain: true }))
    connection.onChunk(publishPacket(4, { topic: 'plant/7' }))
    await fixture.settle()
    expect(fixture.log.envelopes()).toMatchObject([
      { deviceId: 'd1', systemProperties: { topic: 'plant/7' }, properties: { 'mqtt-retain': 'true' } },
      { deviceId: 'd1', systemProperties: { topic: 'plant/7' }, properties: {} },
    ])
  })

  test('MQTT 5.0 properties come into the envelope; a topic alias stands for its topic [MQTT-3.3.2-8]', async () => {
    const { fixture, connection } = open(5)
    const properties = {
      userProperties: { a: ['0', '1'], A: '2' },
      contentType: 'text/plain',
      messageExpiryInterval: 7,
      payloadFormatIndicator: true,
      correlationData: Buffer.from('cd'),
      responseTopic: 'r',
    }
    connection.onChunk(publishPacket(5, { topic: 'plant/7', properties: { ...properties, topicAlias: 3 } }))
    connection.onChunk(publishPacket(5, { topic: '', properties: { topicAlias: 3 } }))
    connection.onChunk(publishPacket(5, { topic: '', properties: { topicAlias: 3 } }))
    connection.onChunk(publishPacket(5, { topic: 'plant/8', properties: { topicAlias: 3 } }))
    connection.onChunk(publishPacket(5, { topic: '', properties: { topicAlias: 3 } }))
    await fixture.settle()
    const envelopes = fixture.log.envelopes()
    expect(envelopes[0]).toMatchObject({
      properties: { a: '1', A: '2' },
      systemProperties: {
        topic: 'plant/7',
        contentType: 'text/plain',
        messageExpiryInterval: '7',
        payloadFormatIndicator: '1',
        correlationData: 'Y2Q=',
        responseTopic: 'r',
      },
    })
    expect(envelopes.map(({ systemProperties }) => systemProperties.topic)).toEqual([
      'plant/7',
      'plant/7',
      'plant/7',
      'plant/8',
      'plant/8',
    ])
  })

  test('a client without an id becomes the device of its first topic, and no other', async () => {
    const { fixture, connection, transport } = open(5, '')
    connection.onChunk(publishPacket(5, { topic: 'devices/a/messages/events/' }))
    connection.onChunk(publishPacket(5, { topic: 'devices/b/messages/events/', qos: 0 }))
    expect(endOf(transport, 5)).toBe(0x87)
    await fixture.settle()
    expect(fixture.log.envelopes().map(({ deviceId }) => deviceId)).toEqual(['a'])
  })

  test.each([
    ['QoS 2', { qos: 2 as const }, 0x9b],
    ['QoS 0 to a topic of another device [G-6]', { qos: 0 as const, topic: 'devices/d2/messages/events/' }, 0x87],
    ['QoS 0 to another module [G-6]', { qos: 0 as const, topic: 'devices/d1/modules/m/messages/events/' }, 0x87],
    ['QoS 0 to a topic that begins with $', { qos: 0 as const, topic: '$SYS/x' }, 0x90],
    ['a broken percent-encoding', { qos: 0 as const, topic: 'devices/d1/messages/events/a=%zz' }, 0x90],
    ['a body above its limit', { qos: 0 as const, payload: Buffer.alloc(limits.bodyBytesMax + 1) }, 0x97],
    ['a packet above its limit', { payload: Buffer.alloc(limits.packetBytesMax + 1) }, 0x95],
    ['a topic alias above the maximum [MQTT-3.3.2-9]', { properties: { topicAlias: limits.topicAliasMax + 1 } }, 0x94],
    ['a topic alias that was never set', { topic: '', properties: { topicAlias: 2 } }, 0x94],
    ['an empty topic', { topic: '', properties: { contentType: 'a' } }, 0x82],
  ])('%s ends the connection with the right code, and is not stored', async (_name, more, code) => {
    const { fixture, connection, transport } = open(5)
    connection.onChunk(publishPacket(5, more))
    expect(endOf(transport, 5)).toBe(code)
    if (!('properties' in more)) {
      const old = open(4)
      old.connection.onChunk(publishPacket(4, more))
      expect(endOf(old.transport, 4)).toBeUndefined()
      expect(old.fixture.count('penstock_edge_connections_closed_total')).toBe(1)
    }
    await fixture.settle()
    expect(fixture.log.envelopes()).toEqual([])
  })

  test.each([
    ['both QoS bits [MQTT-3.3.1-4]', '360500016100' + '01'],
    ['DUP with QoS 0 [MQTT-3.3.1-2]', '3804000161' + '61'],
    ['packet id 0 [MQTT-2.3.1-1]', '3205000161' + '0000'],
    ['a topic beyond the packet', '3003000961'],
    ['a topic with a wildcard [MQTT-3.3.2-2]', '3004000223' + '61'],
    ['a topic that is not UTF-8 [MQTT-1.5.4-1]', '30040002' + 'c328'],
    ['a topic with a null character [MQTT-1.5.4-2]', '30040002' + '6100'],
    ['a remaining length of five bytes', '30ffffffff01'],
  ])('%s closes the connection', async (_name, hex) => {
    const { fixture, connection, transport } = open(4)
    connection.onChunk(Buffer.from(hex, 'hex'))
    expect(transport.ended).toBe(true)
    await fixture.settle()
    expect(fixture.log.envelopes()).toEqual([])
  })

  test('a largest body with a long property bag is taken', async () => {
    const { fixture, connection } = open(4)
    const topic = `devices/d1/messages/events/k=${'v'.repeat(limits.topicBytesMax - 40)}`
    connection.onChunk(publishPacket(4, { topic, payload: Buffer.alloc(limits.bodyBytesMax, 1) }))
    await fixture.settle()
    expect(fixture.log.envelopes()[0]!.body.length).toBe(limits.bodyBytesMax)
  })

  test('a batch refused for good ends the connection instead of acknowledging [G-1]', async () => {
    const { fixture, connection, transport } = open(5)
    fixture.log.gate = async () => {
      throw new PenstockError('LOG_RECORD_TOO_LARGE', 'never')
    }
    connection.onChunk(publishPacket(5))
    await fixture.settle()
    expect(endOf(transport, 5)).toBe(0x83)
    expect(packetsIn(transport, 5).some(({ cmd }) => cmd === 'puback')).toBe(false)
  })

  test('a client that does not read its acknowledgements is not read from until it does [G-4]', async () => {
    const { fixture, connection, transport } = open(4)
    connection.onChunk(publishPacket(4))
    transport.writeBytes = limits.socketWriteBytesMax + 1
    await fixture.settle()
    expect(transport.paused).toBe(true)
    connection.onDrained()
    expect(transport.paused).toBe(false)
  })
})

describe('a request for the twin, which does not exist yet', () => {
  const listen = (): Buffer =>
    mqttPacket.generate({
      cmd: 'subscribe',
      messageId: 9,
      subscriptions: [{ topic: '$iothub/twin/res/#', qos: 0 }],
    })
  const get = (rid: string, more: Partial<IPublishPacket> = {}) =>
    publishPacket(4, { topic: `$iothub/twin/GET/?$rid=${rid}`, payload: ' ', qos: 0, ...more })

  test('is answered as refused on the topic of its answer, and the connection goes on', async () => {
    const { fixture, connection, transport } = open(4)
    connection.onChunk(Buffer.concat([listen(), publishPacket(4), get('a-1'), publishPacket(4, { messageId: 2 })]))
    const topic = '$iothub/twin/PATCH/properties/reported/?$rid=7&$version=3'
    connection.onChunk(publishPacket(4, { topic, payload: '{}', qos: 0 }))
    await fixture.settle()
    const answers = packetsIn(transport, 4).filter((packet) => packet.cmd === 'publish')
    expect(answers.map(({ topic, qos }) => [topic, qos])).toEqual([
      ['$iothub/twin/res/400/?$rid=a-1', 0],
      ['$iothub/twin/res/400/?$rid=7', 0],
    ])
    expect(JSON.parse(String(answers[0]?.payload))).toEqual({ errorCode: 400_003, message: expect.any(String) })
    expect(fixture.log.envelopes().map(({ body }) => String(body))).toEqual(['hello', 'hello'])
    expect(transport.ended).toBe(false)
  })

  test('is not answered more often than an SDK may repeat it in a second', () => {
    let nowMs = 1_000_000
    const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, after: () => () => {} }
    const { connection, transport } = edgeFixture({ clock }).connect()
    connection.onChunk(connectPacket(4))
    connection.onChunk(listen())
    const answers = () => packetsIn(transport, 4).filter(({ cmd }) => cmd === 'publish').length
    const requests = Buffer.concat(
      Array.from({ length: 3 * limits.requestRefusalsPerSecondMax }, (_, i) => get(`r${i}`)),
    )
    connection.onChunk(requests)
    expect(answers()).toBe(limits.requestRefusalsPerSecondMax)
    nowMs += 1000
    connection.onChunk(requests)
    expect(answers()).toBe(2 * limits.requestRefusalsPerSecondMax)
    expect(transport.ended).toBe(false)
  })

  test('with QoS 1 is acknowledged in its turn [MQTT-4.6.0-2]', async () => {
    const { fixture, connection, transport } = open(4)
    const acknowledged = () =>
      packetsIn(transport, 4).flatMap((packet) => (packet.cmd === 'puback' ? [packet.messageId] : []))
    connection.onChunk(get('a', { qos: 1, messageId: 1 }))
    expect(acknowledged()).toEqual([1])
    let id = 2
    const telemetry = () => publishPacket(4, { messageId: id++ })
    const request = () => get('b', { qos: 1, messageId: id++ })
    connection.onChunk(Buffer.concat([telemetry(), request(), request(), telemetry(), telemetry(), request()]))
    expect(acknowledged()).toEqual([1])
    await fixture.settle()
    expect(acknowledged()).toEqual([1, 2, 3, 4, 5, 6, 7])
    connection.onChunk(request())
    expect(acknowledged()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  test.each([
    '$iothub/twin/GET/',
    '$iothub/twin/GET/?$rid=',
    '$iothub/twin/GET/?$rid=a+b',
    '$iothub/methods/POST/x/?$rid=1',
    '$iothub/twin/x/?$rid=1',
  ])('%s is no such request: it ends the connection, over 5.0 the reason comes in the PUBACK', (topic) => {
    const { connection, transport } = open(4)
    connection.onChunk(publishPacket(4, { topic }))
    expect(endOf(transport, 4)).toBeUndefined()
    if (/[+#]/.test(topic)) return
    const told = open(5)
    told.connection.onChunk(publishPacket(5, { topic }))
    expect(packetsIn(told.transport, 5)[1]).toMatchObject({ cmd: 'puback', reasonCode: 0x90 })
  })
})

describe('the other packets', () => {
  test.each([4, 5] as const)(
    'level %i: SUBSCRIBE and UNSUBSCRIBE are answered per filter, nothing is granted [MQTT-3.8.4-5]',
    (version) => {
      const { connection, transport } = open(version)
      const subscriptions = ['a/#', '$share/g/a'].map((topic) => ({ topic, qos: 1 as const }))
      connection.onChunk(
        mqttPacket.generate({ cmd: 'subscribe', messageId: 9, subscriptions }, { protocolVersion: version }),
      )
      connection.onChunk(
        mqttPacket.generate(
          { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a/#'] },
          { protocolVersion: version },
        ),
      )
      connection.onChunk(Buffer.from([0xc0, 0]))
      const [, suback, unsuback, pingresp] = packetsIn(transport, version)
      expect(suback).toMatchObject({
        cmd: 'suback',
        messageId: 9,
        granted: version === 5 ? [0x87, 0x9e] : [0x80, 0x80],
      })
      expect(unsuback).toMatchObject({ cmd: 'unsuback', messageId: 10 })
      expect(pingresp).toMatchObject({ cmd: 'pingresp' })
      expect(transport.ended).toBe(false)
    },
  )

  test.each([
    ['d1', 'devices/d2/messages/devicebound/#'],
    ['d1', 'devices/+/messages/events/#'],
    ['d1', 'devices/#'],
    ['d1', 'devices/d1/modules/m1/inputs/#'],
    ['d1/m1', 'devices/d1/messages/devicebound/#'],
    ['d1/m1', 'devices/d1/modules/m2/#'],
  ])('%s listening to %s is ended by 3.1.1 and told 0x87 by 5.0; to its own, refused only [G-6]', (clientId, topic) => {
    const subscribe = (version: Version, filter: string) => {
      const opened = open(version, clientId)
      const subscriptions = [{ topic: filter, qos: 1 as const }]
      opened.connection.onChunk(
        mqttPacket.generate({ cmd: 'subscribe', messageId: 9, subscriptions }, { protocolVersion: version }),
      )
      return opened
    }
    const old = subscribe(4, topic)
    expect(endOf(old.transport, 4)).toBeUndefined()
    expect(packetsIn(old.transport, 4).map(({ cmd }) => cmd)).toEqual(['connack'])
    const told = subscribe(5, topic)
    expect([told.transport.ended, packetsIn(told.transport, 5)[1]]).toMatchObject([false, { granted: [0x87] }])
    const own = `devices/${clientId.replace('/', '/modules/')}/${clientId === 'd1' ? 'messages/devicebound' : 'inputs'}/#`
    for (const version of [4, 5] as const) expect(subscribe(version, own).transport.ended).toBe(false)
  })

  test.each(['620200' + '01', '4002' + '0001', '5002' + '0001', '8200', '2002' + '0000', 'f000'])(
    '%s is not expected and ends the connection',
    (hex) => {
      const { connection, transport } = open(4)
      connection.onChunk(Buffer.from(hex, 'hex'))
      expect(transport.ended).toBe(true)
    },
  )

  test('a silent client is ended after one and a half keep-alive intervals, a speaking one is not [MQTT-3.1.2-22]', () => {
    const { fixture, connection, transport } = open(5, 'd1', { keepalive: 10 })
    const pass = (seconds: number) => {
      fixture.edge.ticks += (seconds * 1000) / tickMs
      connection.onSecond(0)
    }
    pass(15)
    connection.onChunk(Buffer.from([0xc0, 0]))
    pass(15)
    expect(transport.ended).toBe(false)
    pass(1)
    expect(endOf(transport, 5)).toBe(0x8d)
  })

  test('a connection without CONNECT ends in time', () => {
    const fixture = edgeFixture()
    const { connection, transport } = fixture.connect()
    connection.onChunk(connectPacket(4).subarray(0, 5))
    fixture.edge.ticks += limits.connectDelayMsMax / tickMs + 1
    connection.onSecond(0)
    expect(transport.ended).toBe(true)
  })

  test('nor does sending it byte by byte, or more behind it, buy time [G-4]', () => {
    const fixture = edgeFixture({ authenticate: () => new Promise(() => {}) })
    const hello = connectPacket(4, 'longer-than-ten-bytes')
    for (const atOnce of [Buffer.alloc(0), hello]) {
      const { connection, transport } = fixture.connect()
      connection.onChunk(atOnce)
      for (let second = 0; second <= limits.connectDelayMsMax / 1000; second++) {
        expect(transport.ended).toBe(false)
        connection.onChunk(hello.subarray(second, second + 1))
        fixture.edge.ticks += 1000 / tickMs
        connection.onSecond(0)
      }
      expect(transport.ended).toBe(true)
    }
  })

  test('a connection that is not read from has its time for a CONNECT still', () => {
    const fixture = edgeFixture()
    const { connection, transport } = fixture.connect()
    connection.pause(pauseReasons.edge)
    for (let second = 0; second < 100; second++) {
      fixture.edge.ticks += 1000 / tickMs
      connection.onSecond(0)
    }
    connection.unpause(pauseReasons.edge)
    connection.onChunk(connectPacket(4))
    expect(packetsIn(transport, 4)[0]).toMatchObject({ cmd: 'connack', returnCode: 0 })
  })
})

describe('a token that ends', () => {
  /** An edge that lets a device stay as long as its token says, and a CONNECT as the device SDKs of the hub make it. */
  function edgeWithTokens() {
    return edgeFixture({
      authenticate: ({ clientId, password }) => {
        const token = parseSasToken(String(password))
        if (token === undefined) throw new PenstockError('INGEST_NOT_AUTHORIZED', 'no token')
        return { deviceId: clientId, moduleId: undefined, expiresAtMs: expiresAtMsOf(token, 0) }
      },
    })
  }
  function connectWithToken(version: Version, expiresAtMs: number): Buffer {
    const key = Buffer.alloc(32, 1).toString('base64')
    const password = Buffer.from(createSasToken({ scope: 'hub.test/devices/d1', key, expiresAtMs }))
    const username = 'hub.test/d1/?api-version=2021-04-12&DeviceClientType=x'
    return connectPacket(version, 'd1', { username, password, clean: false })
  }

  test.each([
    [4, undefined],
    [5, 0x87],
  ] as const)('level %i: the connection is ended at the moment of expiry, told %s', async (version, code) => {
    const fixture = edgeWithTokens()
    const { connection, transport } = fixture.connect()
    connection.onChunk(connectWithToken(version, 100_000))
    connection.onSecond(99_999)
    expect(transport.ended).toBe(false)
    connection.onSecond(100_000)
    expect(endOf(transport, version)).toBe(code)
    connection.onChunk(publishPacket(version))
    await fixture.settle()
    expect(fixture.log.envelopes()).toEqual([])
  })

  test.each([true, false])(
    'is renewed by a new CONNECT with a new token, which takes over or follows a DISCONNECT (%s)',
    async (takesOver) => {
      const fixture = edgeWithTokens()
      const [old, renewed] = [fixture.connect(), fixture.connect()]
      old.connection.onChunk(Buffer.concat([connectWithToken(4, 100_000), publishPacket(4, { payload: 'before' })]))
      if (!takesOver) old.connection.onChunk(Buffer.from([0xe0, 0]))
      renewed.connection.onChunk(connectWithToken(4, 200_000))
      expect([old.transport.ended, renewed.transport.ended]).toEqual([true, false])
      renewed.connection.onSecond(199_999)
      // An SDK sends again what was not acknowledged, and goes on.
      renewed.connection.onChunk(publishPacket(4, { payload: 'before', dup: true }))
      renewed.connection.onChunk(publishPacket(4, { payload: 'after', messageId: 2 }))
      await fixture.settle()
      expect(fixture.log.envelopes().map(({ body }) => String(body))).toEqual(['before', 'before', 'after'])
      expect(packetsIn(renewed.transport, 4).map(({ cmd }) => cmd)).toEqual(['connack', 'puback', 'puback'])
      expect(fixture.edge.sessions.get('d1')?.carrier).toBe(renewed.connection)
      renewed.connection.onSecond(200_000)
      expect(renewed.transport.ended).toBe(true)
    },
  )
})

describe('will', () => {
  const will = { topic: 'devices/d1/messages/events/a=b', payload: Buffer.from('bye'), qos: 1 as const, retain: false }

  test('is published as telemetry on an unclean end, not after DISCONNECT [MQTT-3.1.2-8] [MQTT-3.1.2-10]', async () => {
    for (const clean of [false, true]) {
      const { fixture, connection, transport } = open(4, 'd1', { will })
      if (clean) connection.onChunk(Buffer.from([0xe0, 0]))
      else connection.onClosed()
      await fixture.settle()
      expect(transport.ended).toBe(clean)
      expect(fixture.log.envelopes().map(({ body, properties }) => [String(body), properties])).toEqual(
        clean ? [] : [['bye', { a: 'b', 'iothub-MessageType': 'Will' }]],
      )
    }
  })

  test('MQTT 5.0: DISCONNECT 0x04 asks for it [MQTT-3.14.4-3]', async () => {
    const { fixture, connection } = open(5, 'd1', { will })
    connection.onChunk(Buffer.from([0xe0, 1, 4]))
    await fixture.settle()
    expect(fixture.log.envelopes().length).toBe(1)
  })

  test.each([0, 1, 0xffff_ffff])(
    'MQTT 5.0: with a delay of %i s it is due at the end of the connection, which ends the session [MQTT-3.1.2-8]',
    async (willDelayInterval) => {
      const delayed = { ...will, properties: { willDelayInterval } }
      const properties = { sessionExpiryInterval: 0xffff_ffff }
      for (const end of ['lost', 'taken over'] as const) {
        const { fixture, connection } = open(5, 'd1', { will: delayed, properties })
        if (end === 'lost') connection.onClosed()
        else fixture.connect().connection.onChunk(connectPacket(5, 'd1', { clean: false, properties }))
        await fixture.settle()
        expect(
          fixture.log.envelopes().map(({ body }) => String(body)),
          end,
        ).toEqual(['bye'])
      }
    },
  )

  test('on a topic the client may not publish to, the CONNECT is refused', () => {
    const { transport } = open(5, 'd1', { will: { ...will, topic: 'devices/d2/messages/events/' } })
    expect(packetsIn(transport, 5)[0]).toMatchObject({ cmd: 'connack', reasonCode: 0x87 })
    expect(transport.ended).toBe(true)
  })

  test('with QoS 2 the CONNECT is refused [MQTT-3.2.2-12]', () => {
    const { transport } = open(5, 'd1', { will: { ...will, qos: 2 } })
    expect(packetsIn(transport, 5)[0]).toMatchObject({ cmd: 'connack', reasonCode: 0x9b })
  })
})
