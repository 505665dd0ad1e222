/** The edge on real sockets, spoken to by clients that nobody here wrote. */
import { execFile } from 'node:child_process'
import { connect as connectSocket } from 'node:net'
import { promisify } from 'node:util'
import mqtt from 'mqtt'
import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '#runtime/clock.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { type Edge, startEdge } from './edge.ts'
import { CapturingLog, listeningEdgeOptions } from './edge-fixture.ts'
import type { Announce } from './session/edge-context.ts'

const run = promisify(execFile)
const edges: Edge[] = []

afterEach(async () => {
  await Promise.all(edges.splice(0).map((edge) => edge.close()))
})

interface StartOptions {
  readonly mqttPort?: number
  readonly bind?: string
  readonly pendingBytesMax?: number
  readonly connectionsMax?: number
  readonly log?: CapturingLog
  readonly announce?: Announce
  readonly clock?: Clock
}

async function start(options: StartOptions = {}) {
  const log = options.log ?? new CapturingLog()
  const metrics = new Metrics<MetricName>(metricsTable)
  const { log: _, ...others } = options
  const edge = await startEdge({ ...listeningEdgeOptions(log, metrics), ...others })
  edges.push(edge)
  const count = (name: MetricName) =>
    metrics.samples().reduce((sum, [sample, , value]) => (sample === name ? sum + value : sum), 0)
  return { log, edge, port: edge.mqttPort, count }
}

async function hasMosquitto(): Promise<boolean> {
  return run('mosquitto_pub', ['--help']).then(
    () => true,
    (error) => error.code !== 'ENOENT',
  )
}

const mosquitto = await hasMosquitto()
if (!mosquitto && process.env.CI === 'true')
  throw new Error('mosquitto_pub is missing; infra/testbed/install.sh installs it')

test('whoever is connected and was heard of lately is told, with when that was', async () => {
  const { edge, port } = await start()
  const heard = (withinMs: number) => {
    const found: [string, string | undefined, number][] = []
    edge.forEachHeard(withinMs, ({ deviceId, moduleId }, atMs) => found.push([deviceId, moduleId, atMs]))
    return found
  }
  const beforeMs = Date.now()
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'd1/m' })
  expect(heard(60_000)).toEqual([['d1', 'm', expect.any(Number)]])
  expect(heard(60_000)[0]?.[2]).toBeGreaterThanOrEqual(beforeMs)
  expect(heard(0)).toEqual([])
  await client.endAsync()
  await expect.poll(() => heard(60_000)).toEqual([])
})

test('an edge says that it is not ready while the log confirms nothing, and while it drains', async () => {
  const log = new CapturingLog()
  let confirm = () => {}
  log.gate = () => new Promise((resolve) => (confirm = resolve))
  const clock = virtualClock(20_000 * 86_400_000)
  const { edge, port } = await start({ log, clock })
  const pass = async (seconds: number): Promise<void> => {
    for (const untilMs = clock.nowMs() + seconds * 1000; clock.nowMs() < untilMs; ) clock.step()
  }
  await pass(60)
  expect(edge.isReady).toBe(true)
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'd1' })
  const sent = client.publishAsync('devices/d1/messages/events/', 'x', { qos: 1 })
  await expect.poll(() => pass(1).then(() => edge.isReady)).toBe(false)
  confirm()
  await sent
  await pass(2)
  expect(edge.isReady).toBe(true)
  await client.endAsync()
  const closed = edge.close()
  expect(edge.isReady).toBe(false)
  await closed
})

test('of two edge processes that tell one another, the older connection of a device ends, however late the notices are', async () => {
  const notices: { readonly from: number; readonly sessionId: string; readonly openedAtMs: number }[] = []
  const announceFrom = (from: number) => (sessionId: string, openedAtMs: number) => {
    notices.push({ from, sessionId, openedAtMs })
  }
  const both = [await start({ announce: announceFrom(0) }), await start({ announce: announceFrom(1) })]
  const clients: mqtt.MqttClient[] = []
  for (const { port } of both)
    clients.push(await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'd1', reconnectPeriod: 0 }))
  expect(notices.length).toBe(2)
  for (const { from, sessionId, openedAtMs } of notices) both[1 - from]?.edge.takeOver(sessionId, openedAtMs)
  await expect.poll(() => clients.map(({ connected }) => connected)).toEqual([false, true])
  expect(both.map(({ edge }) => edge.connectionCount)).toEqual([0, 1])
  await clients[1]?.endAsync()
})

describe.each([4, 5] as const)('protocol level %i', (version) => {
  test('MQTT.js: every QoS 1 publish is acknowledged and on the log once, in order [G-1] [G-3]', async () => {
    const { log, port } = await start()
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'd1', protocolVersion: version })
    const messages = Array.from({ length: 500 }, (_, i) => String(i))
    await Promise.all(messages.map((body) => client.publishAsync('devices/d1/messages/events/', body, { qos: 1 })))
    expect(log.envelopes().map(({ body }) => String(body))).toEqual(messages)
    await client.endAsync()
  })

  test.skipIf(!mosquitto)('mosquitto_pub: QoS 0, QoS 1, a stream of lines, a body from a file', async () => {
    const { log, port, edge } = await start()
    const more = ['-p', String(port), '-V', version === 5 ? 'mqttv5' : 'mqttv311']
    const topic = 'devices/m1/messages/events/'
    await run('mosquitto_pub', [...more, '-i', 'm1', '-q', '1', '-t', topic, '-m', 'one'])
    await run('mosquitto_pub', [...more, '-q', '1', '-t', topic, '-m', 'no client id'])
    const child = run('mosquitto_pub', [...more, '-i', 'm1', '-q', '1', '-t', `${topic}a=b`, '-l'])
    child.child.stdin?.end('l1\nl2\nl3\n')
    await child
    await run('mosquitto_pub', [...more, '-i', 'm1', '-q', '0', '-t', 'free/topic', '-m', 'two'])
    await edge.close()
    edges.splice(0)
    expect(
      log
        .envelopes()
        .map(({ deviceId, body, properties, systemProperties }) => [
          deviceId,
          String(body),
          properties,
          systemProperties,
        ]),
    ).toEqual([
      ['m1', 'one', {}, {}],
      ['m1', 'no client id', {}, {}],
      ...['l1', 'l2', 'l3'].map((line) => ['m1', line, { a: 'b' }, {}]),
      ['m1', 'two', {}, { topic: 'free/topic' }],
    ])
  })

  test('a SUBSCRIBE is refused per filter and the client lives on', async () => {
    const { port } = await start()
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'd1', protocolVersion: version })
    const refused = await client.subscribeAsync('a/#', { qos: 1 }).then(
      () => undefined,
      (error: Error) => error,
    )
    expect(refused).toBeInstanceOf(Error)
    await client.publishAsync('devices/d1/messages/events/', 'still here', { qos: 1 })
    await client.endAsync()
  })

  test('a will is published when the socket dies', async () => {
    const { log, port, edge } = await start()
    const will = { topic: 'devices/d1/messages/events/', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      clientId: 'd1',
      protocolVersion: version,
      will,
      reconnectPeriod: 0,
    })
    client.stream.destroy()
    while (edge.connectionCount > 0) await new Promise(setImmediate)
    await edge.close()
    edges.splice(0)
    expect(log.envelopes().map(({ body, properties }) => [String(body), properties])).toEqual([
      ['gone', { 'iothub-MessageType': 'Will' }],
    ])
  })
})

describe('the edge', () => {
  test('refuses to listen beyond loopback without identities, and says why', async () => {
    await expect(start({ bind: '0.0.0.0' })).rejects.toMatchObject({
      code: 'BIND_NOT_LOOPBACK',
      message: expect.stringContaining('127.0.0.0/8'),
    })
  })

  test('says which port is taken', async () => {
    const { port } = await start()
    const server = (await import('node:net')).createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const taken = (server.address() as { port: number }).port
    await expect(start({ mqttPort: taken })).rejects.toMatchObject({
      code: 'PORT_UNAVAILABLE',
      message: expect.stringContaining(String(taken)),
    })
    server.close()
    expect(port).toBeGreaterThan(0)
  })

  test('closing settles and acknowledges what was taken in, then tells 5.0 clients why [G-1]', async () => {
    const { log, port, edge, count } = await start()
    let open = () => {}
    const gate = new Promise<void>((resolve) => (open = resolve))
    log.gate = () => gate
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      clientId: 'd1',
      protocolVersion: 5,
      reconnectPeriod: 0,
    })
    const reason = new Promise<number | undefined>((resolve) =>
      client.on('disconnect', (packet) => resolve(packet.reasonCode)),
    )
    const published = client.publishAsync('devices/d1/messages/events/', 'last', { qos: 1 })
    while (count('penstock_edge_messages_received_total') === 0) await new Promise(setImmediate)
    const closed = edge.close()
    edges.splice(0)
    open()
    await published
    await closed
    expect(await reason).toBe(0x8b)
    expect(log.envelopes().length).toBe(1)
  })

  test('with the log stopped, a device at full speed is paused and memory stays bounded; then everything flows [G-4]', async () => {
    const pendingBytesMax = 4 * 1024 * 1024
    const log = new CapturingLog()
    let open = () => {}
    const gate = new Promise<void>((resolve) => (open = resolve))
    log.gate = () => gate
    const { port, edge, count } = await start({ pendingBytesMax, log })
    const socket = connectSocket(port, '127.0.0.1')
    socket.write(Buffer.from('100e00044d5154540402000000026431', 'hex'))
    const body = Buffer.alloc(1000, 66)
    const topic = Buffer.from('devices/d1/messages/events/')
    const remaining = 2 + topic.length + body.length
    const frame = Buffer.concat([
      Buffer.from([0x30, (remaining & 0x7f) | 0x80, remaining >> 7, 0, topic.length]),
      topic,
      body,
    ])
    const many = Buffer.concat(Array.from({ length: 1000 }, () => frame))
    let written = 0
    while (count('penstock_edge_pauses_total') === 0) {
      written += 1000
      const goOn = socket.write(many)
      if (!goOn) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), paused(count)])
      expect(written).toBeLessThan(200_000)
    }
    const received = count('penstock_edge_messages_received_total')
    expect(received * frame.length).toBeLessThan(pendingBytesMax + 1024 * 1024)
    expect(log.appended.length).toBe(0)
    const finished = new Promise<void>((resolve) => socket.end(() => resolve()))
    open()
    await finished
    while (edge.connectionCount > 0) await new Promise(setImmediate)
    await edge.close()
    edges.splice(0)
    expect(log.envelopes().length).toBe(written)
  })
})

test('places of ended connections are free again, however many there were [G-4]', async () => {
  const { port } = await start({ connectionsMax: 1 })
  // More than sockets of any state the listener takes at once.
  for (let index = 0; index < 1_100; index++) {
    const socket = connectSocket(port, '127.0.0.1')
    socket.write(Buffer.from('100e00044d5154540402000000026431e000', 'hex'))
    await new Promise((resolve) => socket.once('data', resolve).once('end', resolve).resume())
    socket.destroy()
  }
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'd1' })
  await client.publishAsync('devices/d1/messages/events/', 'still here', { qos: 1 })
  await client.endAsync()
})

async function paused(count: (name: MetricName) => number): Promise<void> {
  while (count('penstock_edge_pauses_total') === 0) await new Promise(setImmediate)
}
