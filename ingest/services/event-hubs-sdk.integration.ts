/** The hub's own client for readers of events, unchanged, at an edge with a log in memory. */
import {
  type CheckpointStore,
  EventHubConsumerClient,
  type EventPosition,
  earliestEventPosition,
  latestEventPosition,
  type ReceivedEventData,
  type SubscribeOptions,
} from '@azure/event-hubs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KeptCheckpoints } from '#infra/testbed/clients/kept-checkpoints.ts'
import { type Listener, listen } from '#ingest/listeners/listener.ts'
import { amqpInBytes } from '#ingest/protocols.ts'
import { BuiltInEndpoint } from '#pipeline/reading/built-in-endpoint.ts'
import { sequenceOf } from '#pipeline/reading/reading.ts'
import { FakeTwins } from '#pipeline/routing/select/batches-fixture.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { systemClock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { emptyRouting } from '#schemas/routing/routing.ts'
import { appendBatch, serviceKey, servicesFixture } from './services-fixture.ts'

const fixture = servicesFixture({ partitions: 3 })
const { memoryLog } = fixture
let listener: Listener
const clients: EventHubConsumerClient[] = []

beforeAll(async () => {
  listener = await listen(fixture.edge, amqpInBytes(fixture.edge, fixture), '127.0.0.1', 0)
})
afterAll(async () => {
  for (const client of clients) await client.close()
  listener.stopAccepting()
})

interface ClientOptions {
  readonly key?: string
  readonly policy?: string
  readonly group?: string
  readonly entity?: string
  readonly store?: CheckpointStore
}

function client(options: ClientOptions = {}): EventHubConsumerClient {
  const { key = serviceKey, policy = 'service', group = '$Default', entity = 'telemetry', store } = options
  const text = `Endpoint=sb://localhost:${listener.port}/;SharedAccessKeyName=${policy};SharedAccessKey=${key};EntityPath=${entity};UseDevelopmentEmulator=true`
  const others = {
    retryOptions: { maxRetries: 0, timeoutInMs: 10_000 },
    loadBalancingOptions: { updateIntervalInMs: 50 },
  }
  const made = store
    ? new EventHubConsumerClient(group, text, store, others)
    : new EventHubConsumerClient(group, text, others)
  clients.push(made)
  return made
}

interface Reading {
  readonly got: ReceivedEventData[]
  readonly errors: string[]
  close(): Promise<void>
}

function read(
  partition: string,
  startPosition: EventPosition,
  options: SubscribeOptions = {},
  reader = client(),
): Reading {
  const [got, errors]: [ReceivedEventData[], string[]] = [[], []]
  const handlers = {
    processEvents: async (events: ReceivedEventData[]) => void got.push(...events),
    processError: async (error: Error & { code?: string }) => void errors.push(error.code ?? error.message),
  }
  const subscription = reader.subscribe(partition, handlers, { startPosition, maxWaitTimeInSeconds: 1, ...options })
  return { got, errors, close: () => subscription.close() }
}

const numbers = ({ got }: Reading): unknown[] => got.map(({ body }) => (body as { n: number }).n)
const messages = (from: number, count: number, enqueuedAtMs = 1_700_000_000_000) =>
  Array.from({ length: count }, (_, index) => ({
    body: Buffer.from(`{"n":${from + index}}`),
    systemProperties: { contentType: 'application/json' },
    enqueuedAtMs: enqueuedAtMs + index,
  }))

describe("the hub's client for events", () => {
  test('is told what is known of the hub, its partitions and each message', async () => {
    const reader = client()
    expect(await reader.getPartitionIds()).toEqual(['0', '1', '2'])
    expect(await reader.getPartitionProperties('0')).toMatchObject({
      isEmpty: true,
      beginningSequenceNumber: 0,
      lastEnqueuedSequenceNumber: -1,
    })
    const body = Buffer.from('{"n":1}')
    const systemProperties = { contentType: 'application/json', messageId: 'm-1', moduleId: 'm', topic: 'a/b' }
    await appendBatch(memoryLog, 0, [
      { deviceId: 'd1', body, properties: { 'le vel': 'hö' }, systemProperties, enqueuedAtMs: 1_700_000_000_123 },
      { deviceId: 'd2', body: Buffer.alloc(200_000, 'x') },
    ])
    expect(await reader.getPartitionProperties('0')).toMatchObject({
      isEmpty: false,
      lastEnqueuedSequenceNumber: 1,
      lastEnqueuedOffset: '1',
    })
    const reading = read('0', earliestEventPosition, { trackLastEnqueuedEventProperties: true }, reader)
    await expect.poll(() => reading.got.length).toBe(2)
    expect(reading.got[0]).toMatchObject({
      body: { n: 1 },
      properties: { 'le vel': 'hö' },
      sequenceNumber: 0,
      offset: '0',
      enqueuedTimeUtc: new Date(1_700_000_000_123),
      contentType: 'application/json',
      messageId: 'm-1',
      systemProperties: {
        'iothub-connection-device-id': 'd1',
        'iothub-connection-module-id': 'm',
        'iothub-enqueuedtime': 1_700_000_000_123,
        'iothub-message-source': 'Telemetry',
        'iothub-topic': 'a/b',
      },
    })
    // Larger than any frame.
    expect(Buffer.from(reading.got[1]?.body as Uint8Array).equals(Buffer.alloc(200_000, 'x'))).toBe(true)
    await reading.close()
  })

  test('begins where it says: an offset, a number, a time, the end, each with it or behind it', async () => {
    const [first, second] = [
      await appendBatch(memoryLog, 1, messages(0, 4)),
      await appendBatch(memoryLog, 1, messages(4, 4, 1_700_000_100_000)),
    ]
    const starts: readonly (readonly [EventPosition, number])[] = [
      [earliestEventPosition, 0],
      [{ offset: String(sequenceOf(first, 1)) }, 2],
      [{ offset: String(sequenceOf(first, 1)), isInclusive: true }, 1],
      [{ sequenceNumber: sequenceOf(first, 3) }, 4],
      [{ sequenceNumber: sequenceOf(second, 2), isInclusive: true }, 6],
      [{ enqueuedOn: 1_700_000_000_002 }, 3],
      [{ enqueuedOn: 1_700_000_100_001 }, 6],
    ]
    const readings = starts.map(([position, from]) => ({
      reading: read('1', position, {}, client({ group: `g${from}` })),
      from,
    }))
    const end = read('1', latestEventPosition, {}, client({ group: 'end' }))
    for (const { reading, from } of readings)
      await expect.poll(() => numbers(reading)).toEqual(messages(from, 8 - from).map((_, index) => from + index))
    const readers = () => fixture.services.readers.count
    expect(readers()).toBe(starts.length + 1)
    await appendBatch(memoryLog, 1, messages(8, 1))
    await expect.poll(() => numbers(end)).toEqual([8])
    await Promise.all([...readings.map(({ reading }) => reading), end].map((reading) => reading.close()))
    await expect.poll(readers).toBe(0)
    const beyond = read('1', { sequenceNumber: sequenceOf(50, 0) })
    await expect.poll(() => beyond.errors).toContain('ArgumentError')
    await beyond.close()
  })

  test('with an epoch reads alone: a lower one is refused, and a higher one takes over', async () => {
    const first = read('2', earliestEventPosition, { ownerLevel: 1 })
    await expect.poll(() => fixture.services.readers.count).toBe(1)
    const lower = read('2', earliestEventPosition, { ownerLevel: 0 })
    const none = read('2', earliestEventPosition)
    await expect
      .poll(() => [lower.errors[0], none.errors[0]])
      .toEqual(['ReceiverDisconnectedError', 'ReceiverDisconnectedError'])
    expect(first.errors).toEqual([])
    await Promise.all([lower.close(), none.close()])
    const higher = read('2', earliestEventPosition, { ownerLevel: 2 })
    await expect.poll(() => first.errors[0]).toBe('ReceiverDisconnectedError')
    await first.close()
    await appendBatch(memoryLog, 2, messages(0, 2))
    await expect.poll(() => numbers(higher)).toEqual([0, 1])
    await higher.close()
  })

  test('needs a policy that may, and its key', async () => {
    const wrong = Buffer.alloc(32, 9).toString('base64')
    for (const options of [{ key: wrong }, { policy: 'device' }, { policy: 'nobody' }])
      await expect(client(options).getPartitionIds()).rejects.toMatchObject({ code: 'UnauthorizedError' })
    await expect(client({ entity: 'elsewhere' }).getPartitionIds()).rejects.toThrow()
    const absent = read('7', earliestEventPosition)
    await expect.poll(() => absent.errors[0]).toMatch(/NotFound|MessagingEntityNotFound/)
    await absent.close()
  })

  test('reads what became of devices as the hub tells it, from a hub of its own', async () => {
    await appendBatch(fixture.events, 0, [
      { deviceId: 'd', properties: { event: 'connected', sequence: 'a1' } },
      { deviceId: 'd', properties: { event: 'updated', sequence: 'a2' } },
      { deviceId: 'd', properties: { event: 'deleted', sequence: 'a3' } },
    ])
    const reading = read('0', earliestEventPosition, {}, client({ entity: 'events' }))
    await expect.poll(() => reading.got.length).toBe(2)
    expect(
      reading.got.map(({ sequenceNumber, properties, systemProperties }) => [
        sequenceNumber,
        properties?.opType,
        systemProperties?.['iothub-message-source'],
      ]),
    ).toEqual([
      [0, 'deviceConnected', 'deviceConnectionStateEvents'],
      [2, 'deleteDeviceIdentity', 'deviceLifecycleEvents'],
    ])
    await reading.close()
  })
})

test('of what routes send to the built-in endpoint each message is read under its own number, stamped, until other routes are in force', async () => {
  const reader = new BlockReader()
  const twins = new SenderTwins({ reader: new FakeTwins(), clock: systemClock, ageMsMax: 0 })
  const routed = new BuiltInEndpoint({ hubName: 'hub', reader, interpreted: false, twins, begin: async () => {} })
  const fallbackRoute = { name: '$fallback', condition: 'true', endpointNames: ['events'], isEnabled: true }
  const alerts = { name: 'r', condition: '$body.n < 3', endpointNames: ['a'], isEnabled: true }
  const enrichments = [{ key: 'hub', value: '$iothubname', endpointNames: ['events'] }]
  routed.apply(1, { ...emptyRouting, routes: [{ ...alerts, source: 'DeviceMessages' }], fallbackRoute, enrichments })
  const own = servicesFixture({ partitions: 1, view: routed.view('telemetry') })
  const edge = await listen(own.edge, amqpInBytes(own.edge, own), '127.0.0.1', 0)
  const text = `Endpoint=sb://localhost:${edge.port}/;SharedAccessKeyName=service;SharedAccessKey=${serviceKey};EntityPath=telemetry;UseDevelopmentEmulator=true`
  const reading = read('0', earliestEventPosition, {}, new EventHubConsumerClient('$Default', text))
  const systemProperties = { contentType: 'application/json', contentEncoding: 'utf-8' }
  const append = (...all: readonly number[]) =>
    appendBatch(
      own.memoryLog,
      0,
      all.map((n) => ({ body: Buffer.from(`{"n":${n}}`), systemProperties })),
    )
  await append(1, 5, 2, 6)
  await append(1, 2)
  await expect.poll(() => numbers(reading)).toEqual([5, 6])
  expect(reading.got.map(({ sequenceNumber, properties }) => [sequenceNumber, properties])).toEqual([
    [1, { hub: 'hub' }],
    [3, { hub: 'hub' }],
  ])
  routed.apply(2, { ...emptyRouting, fallbackRoute })
  const last = await append(1)
  await expect.poll(() => reading.got.at(-1)?.sequenceNumber).toBe(sequenceOf(last, 0))
  expect(reading.got.at(-1)?.properties).toEqual({})
  await reading.close()
  edge.stopAccepting()
})

test('a processor that keeps checkpoints reads each message once, and none is missing, over its own ends and those of the edge', async () => {
  const own = servicesFixture({ partitions: 2 })
  let edge = await listen(own.edge, amqpInBytes(own.edge, own), '127.0.0.1', 0)
  const { port } = edge
  const store = new KeptCheckpoints()
  const got = new Map<string, number[]>([
    ['0', []],
    ['1', []],
  ])
  const start = (count: number) => {
    const text = `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=service;SharedAccessKey=${serviceKey};EntityPath=telemetry;UseDevelopmentEmulator=true`
    const processor = new EventHubConsumerClient('billing', text, store, {
      loadBalancingOptions: { updateIntervalInMs: 100 },
      retryOptions: { maxRetries: 100, retryDelayInMs: 50, maxRetryDelayInMs: 50 },
    })
    let seen = 0
    const subscription = processor.subscribe(
      {
        async processEvents(events, context) {
          // Whoever was stopped takes no more on.
          if (seen >= count) return
          got.get(context.partitionId)?.push(...events.map(({ sequenceNumber }) => sequenceNumber))
          seen += events.length
          const last = events.at(-1)
          if (last) await context.updateCheckpoint(last)
        },
        async processError() {},
      },
      { startPosition: earliestEventPosition, maxBatchSize: 50, maxWaitTimeInSeconds: 1 },
    )
    return {
      seen: () => seen,
      stop: async () => {
        await subscription.close()
        await processor.close()
      },
    }
  }
  const expected = new Map<string, number[]>([
    ['0', []],
    ['1', []],
  ])
  const appendMore = async (rounds: number) => {
    for (let round = 0; round < rounds; round++)
      for (const partition of [0, 1]) {
        const offset = await appendBatch(own.memoryLog, partition, messages(0, 37))
        expected.get(String(partition))?.push(...messages(0, 37).map((_, index) => sequenceOf(offset, index)))
      }
  }
  await appendMore(10)
  const first = start(300)
  await expect.poll(first.seen, { timeout: 30_000 }).toBeGreaterThanOrEqual(300)
  await first.stop()
  await appendMore(5)
  const second = start(Number.POSITIVE_INFINITY)
  const allRead = async () => {
    for (const [partition, numbers] of expected)
      await expect.poll(() => got.get(partition)?.length, { timeout: 30_000 }).toBe(numbers.length)
  }
  await allRead()
  // Another edge takes the place of this one, with the same log, while the client waits for news: it finds the new one by itself. In the midst of
  // events this SDK may begin to open a link on the connection that is going, and then waits on it for ever.
  edge.stopAccepting()
  const next = servicesFixture({ store: own.memoryLog.store })
  edge = await listen(next.edge, amqpInBytes(next.edge, next), '127.0.0.1', port)
  for (const connection of [...own.edge.connections]) connection.fail(draining)
  await appendMore(5)
  await allRead()
  expect(got).toEqual(expected)
  await second.stop()
  edge.stopAccepting()
})

const draining = new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
