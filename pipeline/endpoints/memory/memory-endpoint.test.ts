import { endpointConformance } from '../endpoint.conformance.ts'
import { MemoryEndpoint, MemoryReceiver } from './memory-endpoint.ts'

let receiver = new MemoryReceiver()

endpointConformance('memory', {
  start: async () => {},
  stop: async () => {},
  clear: async () => {
    receiver = new MemoryReceiver()
    receiver.bodyBytesMax = 1_000
  },
  open: async () => new MemoryEndpoint(receiver),
  contents: async () =>
    receiver.requests.flatMap(({ messages }) =>
      messages.map(({ deviceId, body, id }) => ({ deviceId, body: Buffer.from(body).toString(), id })),
    ),
  dropsRepetitions: false,
  badBody: async () => {
    receiver.badBody = 'bad'
    return 'bad'
  },
  oversizedBytes: 1_001,
  away: async () => {
    receiver.isAway = true
    return async () => {
      receiver.isAway = false
    }
  },
  openWithoutRight: async () => {
    receiver.hasRight = false
    const mend = async () => {
      receiver.hasRight = true
    }
    return { endpoint: new MemoryEndpoint(receiver), mend }
  },
})
