/**
 * What AMQP costs beside MQTT and beside a server of `rhea`, without sockets and log: bytes as clients send them go in, acknowledgements
 * come out. Prints one round as JSON (`loadtest/bench/amqp.bench.ts` makes a record of several).
 *
 *   node --expose-gc ingest/amqp/connection.bench.ts [messages]
 */
import { createRequire } from 'node:module'
import { Duplex } from 'node:stream'
import mqttPacket from 'mqtt-packet'
import { edgeFixture, FakeTransport } from '#ingest/edge-fixture.ts'
import { amqpHeader } from '#runtime/amqp/frames.ts'
import { assert } from '#runtime/assert.ts'
import { AmqpConnection } from './connection.ts'
import { attachFrame, beginFrame, dataMessage, flowFrame, openFrame, transferFrame } from './raw-client-fixture.ts'

const rhea = createRequire(import.meta.url)('rhea')
const messages = Number(process.argv[2] ?? 1_000_000)
const connections = 20
const body = 'A'.repeat(48)
const perChunk = 240

/** @returns nanoseconds of CPU a message, those of the thread pool too */
type Measure = () => Promise<number>

async function cpuNs(count: number, run: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(start)
  return ((user + system) * 1000) / count
}

const mqtt: Measure = async () => {
  const fixture = silentFixture()
  const publish = (index: number): Buffer =>
    mqttPacket.generate({
      cmd: 'publish',
      topic: `devices/device-${index}/messages/events/`,
      payload: body,
      qos: 1,
      messageId: 7,
      dup: false,
      retain: false,
    })
  const clients = Array.from({ length: connections }, (_, index) => {
    const { connection, transport } = fixture.connect()
    connection.onChunk(connectPacket(index))
    transport.write = () => {}
    return { connection, chunk: Buffer.concat(Array.from({ length: perChunk }, () => publish(index))) }
  })
  return cpuNs(messages, () => feed(fixture, clients, () => {}))
}

const amqp: Measure = async () => {
  const fixture = silentFixture()
  const clients = await Promise.all(
    Array.from({ length: connections }, async (_, index) => {
      const transport = new FakeTransport()
      const connection = new AmqpConnection(fixture.edge, transport)
      connection.onChunk(greeting(`device-${index}`))
      await new Promise(setImmediate)
      transport.write = () => {}
      return { connection, chunk: amqpChunk() }
    }),
  )
  return cpuNs(messages, () => feed(fixture, clients, renumber))
}

/** As many messages into a server that does nothing but accept them. */
const rheaServer: Measure = async () => {
  const container = rhea.create_container({ autoaccept: true })
  let accepted = 0
  container.on('message', () => accepted++)
  container.on('receiver_open', (context: { receiver: { set_credit_window(n: number): void } }) =>
    context.receiver.set_credit_window(500),
  )
  const connection = container.create_connection({})
  const socket = new Duplex({ read: () => {}, write: (_bytes, _encoding, done) => done() })
  Object.assign(socket, { setNoDelay: () => {}, setKeepAlive: () => {}, setTimeout: () => {} })
  connection.accept(socket)
  socket.push(greeting('device-0'))
  await new Promise(setImmediate)
  const count = Math.min(messages, 100_000)
  const chunk = amqpChunk()
  return cpuNs(count, async () => {
    for (let sent = 0; sent < count; sent += perChunk) {
      renumber(chunk, sent)
      socket.push(Buffer.from(chunk))
      // It writes, and frees what is accepted, in later turns.
      do await new Promise(setImmediate)
      while (accepted < sent + perChunk)
    }
  })
}

function silentFixture() {
  const fixture = edgeFixture({ partitions: 4 })
  let offset = 0
  ;(fixture.log as { append: unknown }).append = async () => offset++
  return fixture
}

interface Fed {
  readonly connection: { onChunk(chunk: Buffer): void }
  readonly chunk: Buffer
}

async function feed(
  fixture: ReturnType<typeof edgeFixture>,
  clients: readonly Fed[],
  prepare: (chunk: Buffer, first: number) => void,
): Promise<void> {
  for (let sent = 0, turn = 0; sent < messages; sent += perChunk, turn++) {
    const { connection, chunk } = clients[turn % clients.length] as Fed
    prepare(chunk, Math.floor(turn / clients.length) * perChunk)
    connection.onChunk(chunk)
    if (turn % clients.length === 0) await fixture.settle()
  }
  await fixture.settle()
}

function connectPacket(index: number): Buffer {
  const client = { clientId: `device-${index}`, clean: true, keepalive: 60 } as const
  return mqttPacket.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, ...client })
}

function greeting(deviceId: string): Buffer {
  return Buffer.concat([
    amqpHeader,
    openFrame(),
    beginFrame(0),
    attachFrame(0, 0, `/devices/${deviceId}/messages/events`),
  ])
}

const payload = dataMessage(body)
/** Of a message whose delivery id takes four bytes. */
const frameBytes = transferFrame({ deliveryId: 70_000, payload }).length
const idAt = transferFrame({ deliveryId: 0x01020304, payload }).indexOf(Buffer.from([1, 2, 3, 4]))

function amqpChunk(): Buffer {
  return Buffer.concat(Array.from({ length: perChunk }, () => transferFrame({ deliveryId: 70_000, payload })))
}

function renumber(chunk: Buffer, first: number): void {
  for (let index = 0; index < perChunk; index++) chunk.writeUInt32BE(first + index, index * frameBytes + idAt)
}

async function heapOf(make: () => Promise<unknown>, count: number): Promise<number> {
  globalThis.gc?.()
  const before = process.memoryUsage()
  const made = await make()
  globalThis.gc?.()
  const after = process.memoryUsage()
  if (made === undefined) throw new Error('nothing was made')
  return (after.heapUsed + after.external - before.heapUsed - before.external) / count
}

async function memory(): Promise<readonly [idle: number, device: number]> {
  const fixture = silentFixture()
  const idle = await heapOf(async () => {
    const made = Array.from({ length: 1_000 }, (_, index) => {
      const transport = new FakeTransport()
      transport.write = () => {}
      const connection = new AmqpConnection(fixture.edge, transport)
      connection.onChunk(greeting(`idle-${index}`))
      const links = [attachFrame(0, 1, '$cbs'), attachFrame(0, 2, '$cbs', { receives: true })]
      const bound = attachFrame(0, 3, `/devices/idle-${index}/messages/devicebound`, { receives: true })
      connection.onChunk(Buffer.concat([...links, bound, flowFrame(0, 3, 100)]))
      return connection
    })
    await new Promise(setImmediate)
    return made
  }, 1_000)
  const shared = silentFixture()
  const device = await heapOf(async () => {
    const transport = new FakeTransport()
    transport.write = () => {}
    const connection = new AmqpConnection(shared.edge, transport)
    connection.onChunk(greeting('shared-0'))
    await new Promise(setImmediate)
    for (let index = 1; index < 1_000; index++) {
      const own = `/devices/shared-${index}/messages/`
      const links = [
        attachFrame(index, 0, `${own}events`),
        attachFrame(index, 1, `${own}devicebound`, { receives: true }),
      ]
      connection.onChunk(Buffer.concat([beginFrame(index), ...links]))
    }
    await new Promise(setImmediate)
    return connection
  }, 1_000)
  assert(fixture.edge.sessions.size + shared.edge.sessions.size === 2_000, 'all devices are there')
  return [idle, device]
}

// Memory first: what the messages leave behind would hide it.
const [idleBytes, deviceBytes] = await memory()
for (const warmUp of [mqtt, amqp, rheaServer]) await warmUp()
const [mqttNs, amqpNs, rheaNs] = [await mqtt(), await amqp(), await rheaServer()]
process.stdout.write(`${JSON.stringify({ mqttNs, amqpNs, rheaNs, idleBytes, deviceBytes })}\n`)
