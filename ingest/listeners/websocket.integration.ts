/** MQTT over WebSocket on a real socket. */
import { once } from 'node:events'
import { connect } from 'node:net'
import mqtt from 'mqtt'
import { afterEach, describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { mqttInMessages } from '#ingest/protocols.ts'
import { pauseAll } from '#ingest/session/pause-all.ts'
import { pauseReasons } from '#ingest/session/pause-reasons.ts'
import type { Authenticate } from '#ingest/session/principal.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import { limits } from '#schemas/limits.ts'
import { routeWebSocket } from './websocket.ts'

const servers: HttpServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0)
})

interface StartOptions {
  authenticate?: Authenticate
  pendingBytesMax?: number
  webSocketWaitingBytesMax?: number
}

async function start(options: StartOptions = {}) {
  const fixture = edgeFixture(options)
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    routes: (router) => routeWebSocket(router, fixture.edge, [mqttInMessages(fixture.edge)], false),
  })
  servers.push(server)
  return { ...fixture, port: server.port, bodies: () => fixture.log.envelopes().map(({ body }) => String(body)) }
}

interface Raw {
  readonly socket: WebSocket
  readonly received: Buffer[]
  readonly closed: Promise<number>
}

async function open(port: number, path = '/mqtt', protocol = 'mqtt'): Promise<Raw> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocol)
  socket.binaryType = 'arraybuffer'
  const received: Buffer[] = []
  socket.addEventListener('message', ({ data }) => received.push(Buffer.from(data as ArrayBuffer)))
  const closed = new Promise<number>((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)))
  await once(socket, 'open')
  return { socket, received, closed }
}

const hello = Buffer.from('100e00044d5154540402000000026431', 'hex')
const accepted = Buffer.from('20020000', 'hex')

/** CONNECT of another device; one of level 5 says that it has no properties. */
function helloOf(deviceId: string, level: 4 | 5): Buffer {
  const properties = level === 5 ? [0] : []
  const head = [0, 4, ...Buffer.from('MQTT'), level, 2, 0, 0, ...properties, 0, deviceId.length]
  const content = Buffer.concat([Buffer.from(head), Buffer.from(deviceId)])
  return Buffer.concat([Buffer.from([0x10, content.length]), content])
}

/** PUBLISH to the device's own topic, QoS 0. */
function publish(body: string | Buffer, deviceId = 'd1'): Buffer {
  const topic = Buffer.from(`devices/${deviceId}/messages/events/`)
  const content = Buffer.from(body)
  const length = 2 + topic.length + content.length
  const lengthBytes: number[] = []
  for (let left = length; ; left >>= 7) {
    lengthBytes.push(left > 0x7f ? (left & 0x7f) | 0x80 : left)
    if (left <= 0x7f) break
  }
  return Buffer.concat([Buffer.from([0x30, ...lengthBytes, 0, topic.length]), topic, content])
}

describe('MQTT over WebSocket', () => {
  test.each([
    ['/mqtt', 4],
    ['/mqtt', 5],
    ['/$iothub/websocket', 4],
    ['/$iothub/websocket?iothub-no-client-cert=true', 5],
  ] as const)(
    'MQTT.js at %s, level %i: acknowledged when it is on the log, in order [G-1] [G-3]',
    async (path, level) => {
      const { port, bodies, edge } = await start()
      const client = await mqtt.connectAsync(`ws://127.0.0.1:${port}${path}`, {
        clientId: 'd1',
        protocolVersion: level,
      })
      const sent = Array.from({ length: 200 }, (_, index) => String(index))
      await Promise.all(sent.map((body) => client.publishAsync('devices/d1/messages/events/', body, { qos: 1 })))
      expect(bodies()).toEqual(sent)
      await client.endAsync()
      await expect.poll(() => edge.connections.size).toBe(0)
    },
  )

  test.each(['mqtt', 'MQTT', 'Mqtt'])('the sub-protocol is echoed as the client spells it: %s', async (protocol) => {
    const { port } = await start()
    const { socket } = await open(port, '/$iothub/websocket', protocol)
    expect(socket.protocol).toBe(protocol)
    socket.close()
  })

  test('without the sub-protocol the request is refused [MQTT-6.0.0-3]', async () => {
    const { port, edge } = await start()
    const socket = connect(port, '127.0.0.1')
    socket.write(
      'GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 400/)
    socket.destroy()
    expect(edge.connections.size).toBe(0)
  })

  test('packets may share messages and messages may share packets [MQTT-6.0.0-2]', async () => {
    const { port, settle, bodies, count } = await start()
    const { socket, received } = await open(port)
    const all = Buffer.concat([hello, publish('a'), publish('b')])
    socket.send(all.subarray(0, 5))
    socket.send(all.subarray(5, hello.length + 40))
    for (const byte of all.subarray(hello.length + 40)) socket.send(Buffer.from([byte]))
    await expect.poll(() => count('penstock_edge_messages_received_total')).toBe(2)
    await settle()
    expect(bodies()).toEqual(['a', 'b'])
    expect(Buffer.concat(received)).toEqual(accepted)
    socket.close()
  })

  test('a text message closes the socket with 1003 [MQTT-6.0.0-1]', async () => {
    const { port, edge } = await start()
    const { socket, closed } = await open(port)
    socket.send('hello')
    expect(await closed).toBe(1003)
    expect(edge.connections.size).toBe(0)
  })

  test.each([
    ['not MQTT', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a packet before CONNECT', publish('x')],
    ['a length of five bytes', Buffer.from('10ffffffffff01', 'hex')],
  ])('%s closes the socket, and others go on', async (_what, bytes) => {
    const { port, edge } = await start()
    const other = await open(port)
    other.socket.send(hello)
    const { socket, closed } = await open(port)
    socket.send(bytes)
    await closed
    expect(edge.connections.size).toBe(1)
    await expect.poll(() => Buffer.concat(other.received).equals(accepted)).toBe(true)
    other.socket.close()
  })

  test('a message above the limit closes the socket', async () => {
    const { port, edge } = await start()
    const { socket, closed } = await open(port)
    socket.send(Buffer.alloc(limits.webSocketMessageBytesMax + 1))
    await closed
    await expect.poll(() => edge.connections.size).toBe(0)
  })

  test('what comes while the identity is looked up waits, in order', async () => {
    let decide = () => {}
    const decided = new Promise<void>((resolve) => {
      decide = resolve
    })
    const { port, settle, bodies, count } = await start({
      authenticate: async ({ clientId, confidential }) => {
        expect(confidential).toBe(true)
        await decided
        return { deviceId: clientId, moduleId: undefined, expiresAtMs: undefined }
      },
    })
    const { socket, received } = await open(port)
    socket.send(Buffer.concat([hello, publish('1'), publish('2').subarray(0, 9)]))
    socket.send(publish('2').subarray(9))
    socket.send(publish('3'))
    await once(new WebSocket(`ws://127.0.0.1:${port}/mqtt`, 'mqtt'), 'open')
    expect(received.length).toBe(0)
    decide()
    await expect.poll(() => count('penstock_edge_messages_received_total')).toBe(3)
    await settle()
    expect(bodies()).toEqual(['1', '2', '3'])
    socket.close()
  })

  test('while the edge is full, what is sent waits up to a bound, then its sender is told and ends [G-4]', async () => {
    const { port, log, edge, settle, count } = await start({ pendingBytesMax: 256 * 1024 })
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    log.gate = () => released
    const [patient, greedy] = [await open(port), await open(port)]
    patient.socket.send(hello)
    greedy.socket.send(Buffer.from('100f00044d515454050200000000026432', 'hex'))
    const large = publish(Buffer.alloc(100_000, 1))
    while (!edge.batcher.full) {
      const before = count('penstock_edge_messages_received_total')
      patient.socket.send(large)
      await expect.poll(() => count('penstock_edge_messages_received_total')).toBe(before + 1)
    }
    const taken = count('penstock_edge_messages_received_total')
    patient.socket.send(publish('waits'))
    for (let sent = 0; sent <= limits.webSocketWaitingBytesMax; sent += large.length) greedy.socket.send(large)
    await greedy.closed
    const farewell = greedy.received.at(-1)
    expect([farewell?.[0], farewell?.[2]]).toEqual([0xe0, 0x97])
    expect(count('penstock_edge_messages_received_total')).toBe(taken)
    release()
    await expect.poll(() => count('penstock_edge_messages_received_total')).toBe(taken + 1)
    await settle()
    expect(String(log.envelopes().at(-1)?.body)).toBe('waits')
    patient.socket.close()
  })

  test('what waits at all of them has a bound too: who exceeds it is told and ends, and others give theirs back [G-4]', async () => {
    const bytesMax = 512 * 1024
    const { port, edge, log, settle, count } = await start({ webSocketWaitingBytesMax: bytesMax })
    const { webSocketWaiting } = edge
    const sockets = await Promise.all(Array.from({ length: 8 }, () => open(port)))
    for (const [index, { socket }] of sockets.entries()) socket.send(helloOf(`d${index}`, 5))
    await expect.poll(() => edge.sessions.size).toBe(8)
    for (const connection of edge.connections) connection.pause(pauseReasons.edge)
    // Begins with the length of no properties.
    const partOf = (index: number) => publish(Buffer.alloc(60_000), `d${index}`)
    const part = partOf(0)
    for (const [index, { socket }] of sockets.entries()) {
      socket.send(partOf(index))
      await expect.poll(() => webSocketWaiting.bytes).toBe(part.length * (index + 1))
    }
    const [greedy, gone, ...patient] = sockets as [Raw, Raw, ...Raw[]]
    greedy.socket.send(part)
    await greedy.closed
    const farewell = greedy.received.at(-1)
    expect([farewell?.[0], farewell?.[2]]).toEqual([0xe0, 0x97])
    expect(webSocketWaiting.bytes).toBe(part.length * 7)
    gone.socket.close()
    await expect.poll(() => webSocketWaiting.bytes).toBe(part.length * 6)
    for (const connection of edge.connections) connection.unpause(pauseReasons.edge)
    expect(webSocketWaiting.bytes).toBe(0)
    await settle()
    expect([count('penstock_edge_messages_received_total'), log.envelopes().length]).toEqual([6, 6])
    for (const { socket } of patient) socket.close()
  })

  test('a hundred that were paused resume in turns: what is pending stays bounded, and all of it comes [G-4]', async () => {
    const pendingBytesMax = 1024 * 1024
    const { port, edge, log, count } = await start({ pendingBytesMax })
    const { batcher } = edge
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let pendingBytesMost = 0
    log.gate = () => {
      pendingBytesMost = Math.max(pendingBytesMost, batcher.pendingBytes)
      return released
    }
    const sockets = await Promise.all(Array.from({ length: 100 }, () => open(port)))
    const ids = sockets.map((_, index) => `d${index}`)
    for (const [index, { socket }] of sockets.entries()) socket.send(helloOf(ids[index] ?? '', 4))
    await expect.poll(() => edge.sessions.size).toBe(100)
    for (const connection of edge.connections) connection.pause(pauseReasons.edge)
    const body = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000)))
    for (const [index, { socket }] of sockets.entries()) socket.send(publish(body, ids[index]))
    await expect.poll(() => edge.webSocketWaiting.bytes).toBeGreaterThan(100 * body.length)
    pauseAll(edge.connections, batcher)
    expect(batcher.full).toBe(true)
    expect(batcher.full).toBe(true)
    release()
    await expect.poll(() => count('penstock_edge_messages_received_total')).toBe(100)
    await expect.poll(() => batcher.pendingBytes).toBe(0)
    expect(pendingBytesMost).toBeLessThan(pendingBytesMax + 2 * limits.blockBytesMax)
    for (const { socket } of sockets) socket.close()
  })
})
