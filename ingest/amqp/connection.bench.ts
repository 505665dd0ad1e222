/**
 * What AMQP costs beside MQTT and beside a server of `rhea`, in turns, without sockets and log: bytes as clients send them go in, and what is
 * acknowledged is counted.
 *
 *   A-1   an AMQP message ÷ a PUBLISH of QoS 1, acknowledged, 48-byte bodies, 64 KiB chunks
 *   A-2   the same AMQP bytes ÷ a rhea server that accepts each message
 *   A-3   memory of an idle connection with four links, and of a device among 1,000 on one connection
 */
import { createRequire } from 'node:module'
import { Duplex } from 'node:stream'
import mqttPacket from 'mqtt-packet'
import { edgeFixture, FakeTransport } from '#ingest/edge-fixture.ts'
import { amqpHeader } from '#runtime/amqp/frames.ts'
import { AmqpConnection } from './connection.ts'
import { attachFrame, beginFrame, dataMessage, flowFrame, openFrame, transferFrame } from './raw-client-fixture.ts'

const rhea = createRequire(import.meta.url)('rhea')
const messages = Number(process.argv[2] ?? 1_000_000)
const rounds = Number(process.argv[3] ?? 5)
const connections = 20
const body = 'A'.repeat(48)
const perChunk = 240

/** CPU nanoseconds a message. */
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
  const device = await heapOf(async () => {
    const transport = new FakeTransport()
    transport.write = () => {}
    const connection = new AmqpConnection(fixture.edge, transport)
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
  return [idle, device]
}

const median = (all: readonly number[]): number =>
  [...all].sort((one, other) => one - other)[all.length >> 1] ?? Number.NaN

// First: what the rounds leave behind would hide it.
const [idleBytes, deviceBytes] = await memory()
const measured = { mqtt: [] as number[], amqp: [] as number[], rhea: [] as number[] }
for (let round = 0; round <= rounds; round++) {
  const [one, two, three] = [await mqtt(), await amqp(), await rheaServer()]
  // The first round warms the compiler.
  if (round === 0) continue
  measured.mqtt.push(one)
  measured.amqp.push(two)
  measured.rhea.push(three)
}
const [mqttNs, amqpNs, rheaNs] = [median(measured.mqtt), median(measured.amqp), median(measured.rhea)]
process.stdout.write(`ns CPU a message, median of ${rounds} rounds: MQTT QoS 1 ${mqttNs.toFixed(0)}, AMQP ${amqpNs.toFixed(0)}, rhea ${rheaNs.toFixed(0)}
A-1  AMQP ÷ MQTT per core            ${(mqttNs / amqpNs).toFixed(2)}
A-2  AMQP ÷ rhea per core            ${(rheaNs / amqpNs).toFixed(0)}
A-3  an idle connection, four links  ${(idleBytes / 1024).toFixed(1)} KiB without its socket; a device of 1,000 ${(deviceBytes / 1024).toFixed(1)} KiB
`)
