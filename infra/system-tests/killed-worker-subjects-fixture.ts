/** Each kind of endpoint with its server, empty, and what the server itself says it holds. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import mqtt from 'mqtt'
import pg from 'pg'
import rhea, { type EventContext } from 'rhea'
import { startArtemis } from '#infra/testbed/artemis.ts'
import { startAzurite } from '#infra/testbed/azurite.ts'
import { startMosquitto } from '#infra/testbed/mosquitto.ts'
import { startNats } from '#infra/testbed/nats.ts'
import { startPostgres } from '#infra/testbed/postgres.ts'
import { startSeaweed } from '#infra/testbed/seaweedfs.ts'
import { azureSettings, TestContainer } from '#pipeline/sinks/azure-blob/container-fixture.ts'
import type { ClickHouseHome } from '#pipeline/sinks/clickhouse/clickhouse-endpoint.ts'
import { kafkaSettings, startTestTopics } from '#pipeline/sinks/kafka/topic-fixture.ts'
import { contentsOf, objectSettings } from '#pipeline/sinks/objects/object-sink-fixture.ts'
import type { EndpointToOpen } from '#pipeline/sinks/open-endpoint.ts'
import { s3Settings, TestBucket } from '#pipeline/sinks/s3/bucket-fixture.ts'
import { embeddedWarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'

export interface HeldMessage {
  readonly body: string
  /** `undefined` of a kind that stores exactly once, and names no messages. */
  readonly id?: string | undefined
}

export interface KilledSubject {
  readonly endpoint: EndpointToOpen
  /** For a ClickHouse endpoint that names no server. */
  readonly home?: ClickHouseHome
  /** In the order in which it came, or of positions, partition by partition; repetitions included. */
  contents(): Promise<readonly HeldMessage[]>
  stop(): Promise<void>
}

const settingsOfQueues = { ca: undefined, windowMessages: 5, messagesMax: 1_000, delayMs: 10, timeoutMs: 10_000 }

async function ofObjects(
  endpoint: EndpointToOpen,
  objects: () => Promise<ReadonlyMap<string, Buffer>>,
  stop: () => Promise<void>,
): Promise<KilledSubject> {
  const contents = async () => (await contentsOf(await objects(), 'json')).map(({ body }) => ({ body }))
  return { endpoint, contents, stop }
}

export async function files(dataDir: string): Promise<KilledSubject> {
  const folder = join(dataDir, 'objects')
  mkdirSync(folder)
  const objects = async () => {
    const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const paths = found.map(({ parentPath, name }) => join(parentPath, name)).filter((path) => path.endsWith('.json'))
    return new Map(paths.map((path) => [path, readFileSync(path)]))
  }
  const endpoint = { name: 'x', kind: 'file', settings: { ...objectSettings, folder } } as const
  return ofObjects(endpoint, objects, async () => {})
}

export async function s3(): Promise<KilledSubject> {
  const server = await startSeaweed()
  const bucket = new TestBucket(server, 'telemetry')
  await bucket.create()
  const endpoint = { name: 'x', kind: 's3', settings: { ...s3Settings(server, {}) } } as const
  return ofObjects(
    endpoint,
    () => bucket.objects(),
    () => server.stop(),
  )
}

export async function azureBlob(): Promise<KilledSubject> {
  const server = await startAzurite()
  const container = new TestContainer(server, 'telemetry')
  await container.create()
  const endpoint = { name: 'x', kind: 'azureBlob', settings: { ...azureSettings(server, {}) } } as const
  return ofObjects(
    endpoint,
    () => container.objects(),
    () => server.stop(),
  )
}

export async function kafka(): Promise<KilledSubject> {
  const topics = await startTestTopics()
  await topics.create('telemetry', 2)
  const settings = { ...kafkaSettings(topics.secured.kafka.bootstrap, 'telemetry') }
  return {
    endpoint: { name: 'x', kind: 'kafka', settings },
    // Of each partition of the log there is one device.
    contents: async () => (await topics.messages('telemetry')).toSorted((a, b) => a.deviceId.localeCompare(b.deviceId)),
    stop: () => topics.stop(),
  }
}

export async function postgres(): Promise<KilledSubject> {
  const server = await startPostgres()
  const admin = new pg.Pool({ connectionString: server.url })
  admin.on('error', () => {})
  const settings = {
    url: server.url.replace('penstock@', ''),
    user: 'penstock',
    tls: 'off',
    table: 'messages',
    body: 'text',
    delayMs: 10,
  }
  return {
    endpoint: { name: 'x', kind: 'postgres', settings },
    contents: async () => {
      const { rows } = await admin.query<{ found: string | null }>("SELECT to_regclass('messages') AS found")
      if (rows[0]?.found === null) return []
      const order = 'ORDER BY log_partition, log_offset, log_index'
      return (await admin.query<{ body: string }>(`SELECT body FROM messages ${order}`)).rows
    },
    stop: async () => {
      await admin.end()
      await server.stop()
    },
  }
}

export async function clickhouse(dataDir: string): Promise<KilledSubject> {
  const warehouse = await embeddedWarehouseForTests(join(dataDir, 'warehouse'))
  const settings = { database: 'other', table: 'messages', delayMs: 10 }
  // Rows of one insert have one position; bodies of this test are in the order of messages, written with as many digits.
  const rows = 'SELECT body FROM other.messages ORDER BY log_partition, log_offset, body'
  const there = "SELECT count() AS n FROM system.tables WHERE database = 'other' AND name = 'messages'"
  return {
    endpoint: { name: 'x', kind: 'clickhouse', settings },
    home: { url: `http://127.0.0.1:${warehouse.port}`, user: 'default', password: '', replicated: false },
    contents: async () => {
      const [found] = await warehouse.query(there)
      if (Number(found?.n) === 0) return []
      return (await warehouse.query(rows)).map(({ body }) => ({ body: String(body) }))
    },
    stop: () => warehouse.close(),
  }
}

/** Its bodies are base64, since no content type is set. */
export async function webhook(): Promise<KilledSubject> {
  const held: HeldMessage[] = []
  const requests = new Map<string, string>()
  let fault: string | undefined
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    // Of a sender that died in the middle of it.
    request.on('error', () => {})
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const id = String(request.headers['webhook-id'])
      if ((requests.get(id) ?? text) !== text) fault = `request ${id} came with other bytes`
      requests.set(id, text)
      for (const message of JSON.parse(text))
        held.push({ id: message.id, body: Buffer.from(message.body, 'base64').toString() })
      response.writeHead(204).end()
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const settings = {
    url: `http://127.0.0.1:${port}/`,
    format: 'json',
    messagesMax: 1_000,
    bytesMax: 1_048_576,
    delayMs: 10,
    timeoutMs: 10_000,
  }
  return {
    endpoint: { name: 'x', kind: 'webhook', settings },
    contents: async () => {
      if (fault !== undefined) throw new Error(fault)
      return [...held]
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

export async function nats(): Promise<KilledSubject> {
  const server = await startNats()
  const observer = await connect({ servers: `127.0.0.1:${server.port}` })
  const { streams } = await jetstreamManager(observer)
  await streams.add({ name: 'TELEMETRY', subjects: ['telemetry.*'] })
  const settings = { ...settingsOfQueues, url: `nats://127.0.0.1:${server.port}`, subject: 'telemetry.{deviceId}' }
  return {
    endpoint: { name: 'x', kind: 'nats', settings },
    contents: async () => {
      const { messages } = (await streams.info('TELEMETRY')).state
      if (messages === 0) return []
      const consumer = await jetstream(observer).consumers.get('TELEMETRY')
      const found: HeldMessage[] = []
      for await (const message of await consumer.fetch({ max_messages: messages, expires: 10_000 }))
        found.push({ body: message.string(), id: message.headers?.get('Nats-Msg-Id') })
      return found
    },
    stop: async () => {
      await observer.close()
      await server.stop()
    },
  }
}

export async function mosquitto(): Promise<KilledSubject> {
  const server = await startMosquitto(['max_queued_messages 0'])
  const held: HeldMessage[] = []
  const observer = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.port}`, { protocolVersion: 5 })
  observer.on('message', (_topic, payload, { properties }) => {
    held.push({ body: payload.toString(), id: String(properties?.userProperties?.['penstock-message-id']) })
  })
  await observer.subscribeAsync('telemetry/#', { qos: 1 })
  const settings = { ...settingsOfQueues, url: `mqtt://127.0.0.1:${server.port}`, topic: 'telemetry/{deviceId}' }
  return {
    endpoint: { name: 'x', kind: 'mqtt', settings },
    contents: async () => [...held],
    stop: async () => {
      observer.end(true)
      await server.stop()
    },
  }
}

export async function artemis(): Promise<KilledSubject> {
  const server = await startArtemis()
  const held: HeldMessage[] = []
  const { port, password } = server
  const account = { username: 'all', password, reconnect: false } as const
  const observer = rhea.create_container().connect({ host: '127.0.0.1', port, ...account })
  observer.on('disconnected', () => {})
  const receiver = observer.open_receiver('telemetry')
  receiver.on('message', ({ message }: EventContext) => {
    if (message === undefined) return
    const { content } = message.body as { readonly content: Buffer }
    held.push({ body: content.toString(), id: String(message.message_id) })
  })
  await new Promise((resolve) => receiver.once('receiver_open', resolve))
  const settings = {
    ...settingsOfQueues,
    url: `amqp://127.0.0.1:${port}`,
    user: 'penstock',
    password,
    queue: 'telemetry',
  }
  return {
    endpoint: { name: 'x', kind: 'amqp', settings },
    contents: async () => [...held],
    stop: async () => {
      observer.close()
      await server.stop()
    },
  }
}
