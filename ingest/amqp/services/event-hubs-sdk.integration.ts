/** The hub's own clients for readers of events, unchanged, at an edge with a log in memory. */
import { EventHubConsumerClient, earliestEventPosition, type ReceivedEventData } from '@azure/event-hubs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Listener, listen } from '#ingest/listeners/listener.ts'
import { amqpInBytes } from '#ingest/protocols.ts'
import { appendBatch, serviceKey, servicesFixture } from './services-fixture.ts'

const fixture = servicesFixture()
const { memoryLog } = fixture
let listener: Listener
const clients: EventHubConsumerClient[] = []

beforeAll(async () => {
  listener = await listen(fixture.edge, amqpInBytes(fixture.edge, fixture.services), '127.0.0.1', 0)
})
afterAll(async () => {
  for (const client of clients) await client.close()
  listener.stopAccepting()
})

function client({ key = serviceKey, policy = 'service', group = '$Default', entity = 'telemetry' } = {}) {
  const text = `Endpoint=sb://localhost:${listener.port}/;SharedAccessKeyName=${policy};SharedAccessKey=${key};EntityPath=${entity};UseDevelopmentEmulator=true`
  const made = new EventHubConsumerClient(group, text, { retryOptions: { maxRetries: 0, timeoutInMs: 10_000 } })
  clients.push(made)
  return made
}

describe("the hub's Node client for events", () => {
  test('reads what is known of the hub and its partitions, and the messages with all that is known of them', async () => {
    const reader = client()
    expect(await reader.getPartitionIds()).toEqual(['0', '1'])
    expect(await reader.getPartitionProperties('0')).toMatchObject({ isEmpty: true, beginningSequenceNumber: 0 })
    await appendBatch(memoryLog, 0, [
      {
        deviceId: 'd1',
        body: Buffer.from('{"n":1}'),
        properties: { level: 'high' },
        systemProperties: { contentType: 'application/json', moduleId: 'm' },
      },
      { deviceId: 'd2', body: Buffer.from('two') },
    ])
    expect(await reader.getPartitionProperties('0')).toMatchObject({
      lastEnqueuedSequenceNumber: 1,
      lastEnqueuedOffset: '1',
    })
    const got: ReceivedEventData[] = []
    const subscription = reader.subscribe(
      '0',
      { processEvents: async (events) => void got.push(...events), processError: async () => {} },
      { startPosition: earliestEventPosition },
    )
    await expect.poll(() => got.length, { timeout: 10_000 }).toBe(2)
    await subscription.close()
    expect(got[0]).toMatchObject({ body: { n: 1 }, sequenceNumber: 0, offset: '0' })
  })
})
