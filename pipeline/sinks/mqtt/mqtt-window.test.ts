/** What a broker asks for that no broker of the test bed insists on; one that is written down here does. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import mqtt from 'mqtt-packet'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { messagesAt } from '#pipeline/endpoints/selected-fixture.ts'
import { openMqttEndpoint } from './mqtt-endpoint.ts'

const receiveMaximum = 3

let server: Server
let endpoint: Endpoint
let connections: number
/** Packet ids of what is not acknowledged. */
let open: number[]
let acknowledge: (socket: Socket) => void

const send = (socket: Socket, packet: mqtt.Packet): void => {
  socket.write(mqtt.generate(packet, { protocolVersion: 5 }))
}
const acknowledgeAll = (socket: Socket, reasonCode = 0): void => {
  for (const messageId of open.splice(0)) send(socket, { cmd: 'puback', messageId, reasonCode })
}

beforeEach(async () => {
  connections = 0
  open = []
  server = createServer((socket) => {
    connections++
    const parser = mqtt.parser({ protocolVersion: 5 })
    parser.on('packet', (packet) => {
      if (packet.cmd === 'connect')
        send(socket, { cmd: 'connack', sessionPresent: false, reasonCode: 0, properties: { receiveMaximum } })
      if (packet.cmd !== 'publish') return
      open.push(packet.messageId ?? 0)
      acknowledge(socket)
    })
    socket.on('data', (chunk) => parser.parse(chunk)).on('error', () => {})
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  endpoint = openMqttEndpoint({
    name: 'mqtt',
    settings: {
      url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
      user: undefined,
      password: undefined,
      topic: 'telemetry/{deviceId}',
      ca: undefined,
      windowMessages: 100,
      messagesMax: 1_000,
      delayMs: 100,
      timeoutMs: 5_000,
    },
    rules: { ownPorts: [], allowed: [] },
  })
})

afterEach(async () => {
  await endpoint.close()
  await new Promise((resolve) => server.close(resolve))
})

const deliver = (bodies: readonly string[]) =>
  endpoint.deliver(
    { id: 'mqtt/test/0/0-0/edge.1.2#0+1', topic: 'test', partition: 0, messages: messagesAt(0, bodies) },
    new AbortController().signal,
  )

it('no more is under way than the broker says', async () => {
  let most = 0
  acknowledge = (socket) => {
    most = Math.max(most, open.length)
    // The rest of what came with it is read first.
    setImmediate(() => acknowledgeAll(socket))
  }
  expect(await deliver(Array.from({ length: 30 }, (_, index) => String(index)))).toEqual({ kind: 'delivered' })
  expect(most).toBe(receiveMaximum)
})

it.each([
  [0x00, 'delivered', undefined],
  [0x10, 'delivered', undefined],
  [0x80, 'retry', 'InternalError'],
  [0x87, 'held', 'Unauthorized'],
  [0x90, 'held', 'NotFound'],
  [0x97, 'retry', 'Throttled'],
  [0x99, 'refused', 'InvalidMessage'],
])('an acknowledgement with reason %i is %s', async (reasonCode, kind, failure) => {
  acknowledge = (socket) => acknowledgeAll(socket, reasonCode)
  const outcome = await deliver(['a'])
  expect(outcome.kind).toBe(kind)
  if (outcome.kind !== 'delivered') expect(outcome.error.failure).toBe(failure)
})

it('a connection that the broker ends is opened again', async () => {
  acknowledge = (socket) => {
    open = []
    send(socket, { cmd: 'disconnect', reasonCode: 0x8b })
  }
  expect(await deliver(['a'])).toMatchObject({ kind: 'retry' })
  acknowledge = (socket) => acknowledgeAll(socket)
  expect(await deliver(['a'])).toEqual({ kind: 'delivered' })
  expect(connections).toBe(2)
})
