/**
 * The hub's own client for Node that reads events, unchanged: prints a line of JSON for each (`ReadEvent`), from the oldest on, and ends after
 * so many.
 *
 *   node hub-events.ts amqp|amqp-ws <connection string> <consumer group> <count>
 */
import {
  EventHubConsumerClient,
  earliestEventPosition,
  type PartitionContext,
  type ReceivedEventData,
} from '@azure/event-hubs'
import { KeptCheckpoints } from './kept-checkpoints.ts'

export interface ReadEvent {
  readonly partition: string
  readonly number: number
  readonly deviceId: string
  readonly body: string
}

const [transport, connectionString = '', group = '', count = '0'] = process.argv.slice(2)
const overWebSocket = transport === 'amqp-ws' ? { webSocketOptions: { webSocket: WebSocket } } : {}
const client = new EventHubConsumerClient(group, connectionString, new KeptCheckpoints(), {
  // As long as an edge takes to start again.
  retryOptions: { maxRetries: 200, retryDelayInMs: 200, maxRetryDelayInMs: 200 },
  loadBalancingOptions: { strategy: 'greedy', updateIntervalInMs: 500 },
  ...overWebSocket,
})
let read = 0
await new Promise<void>((resolve) => {
  const handlers = {
    async processEvents(events: readonly ReceivedEventData[], context: PartitionContext) {
      for (const { sequenceNumber: number, systemProperties, body } of events) {
        const deviceId = String(systemProperties?.['iothub-connection-device-id'])
        const event: ReadEvent = { partition: context.partitionId, number, deviceId, body: String(body) }
        process.stdout.write(`${JSON.stringify(event)}\n`)
      }
      // From here it goes on where the connection was lost.
      const last = events.at(-1)
      if (last !== undefined) await context.updateCheckpoint(last)
      read += events.length
      if (read >= Number(count)) resolve()
    },
    processError: async (error: Error) => void process.stderr.write(`${error.message}\n`),
  }
  // By default it hands over one event at a time, and waits in between.
  const options = {
    startPosition: earliestEventPosition,
    skipParsingBodyAsJson: true,
    maxBatchSize: 500,
    maxWaitTimeInSeconds: 1,
  }
  client.subscribe(handlers, options)
})
process.exit()
