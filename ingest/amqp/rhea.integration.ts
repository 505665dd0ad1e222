/** Devices on AMQP, spoken to with `rhea`, which nobody here wrote, over real sockets. */
import { once } from 'node:events'
import rhea, { type Connection, type Sender } from 'rhea'
import { afterEach, describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { type Listener, listen } from '#ingest/listeners/listener.ts'
import { amqpInBytes } from '#ingest/protocols.ts'

const listeners: Listener[] = []
const connections: Connection[] = []

afterEach(() => {
  for (const connection of connections.splice(0)) connection.close()
  for (const listener of listeners.splice(0)) listener.stopAccepting()
})

async function start(options: Parameters<typeof edgeFixture>[0] = {}) {
  const fixture = edgeFixture(options)
  const listener = await listen(fixture.edge, amqpInBytes(fixture.edge), '127.0.0.1', 0)
  listeners.push(listener)
  const connect = async (login: object = { username: 'anonymous' }): Promise<Connection> => {
    const container = rhea.create_container()
    const connection = container.connect({ host: '127.0.0.1', port: listener.port, reconnect: false, ...login })
    connection.on('error', () => {})
    connection.on('connection_error', () => {})
    connections.push(connection)
    await once(connection, 'connection_open')
    return connection
  }
  return { ...fixture, connect }
}

async function sender(connection: Connection, address: string): Promise<Sender> {
  const link = connection.open_sender({ target: address, autosettle: true })
  link.on('sender_error', () => {})
  await once(link, 'sendable')
  return link
}

const events = (deviceId: string): string => `/devices/${deviceId}/messages/events`

describe('telemetry', () => {
  test('what is accepted is on the log once, in order, with its properties [G-1] [G-3]', async () => {
    const { connect, log } = await start()
    const connection = await connect()
    const link = await sender(connection, events('d1'))
    let accepted = 0
    link.on('accepted', () => accepted++)
    const count = 2_000
    let sent = 0
    const sendMore = (): void => {
      while (sent < count && link.sendable())
        link.send({
          content_type: 'application/json',
          application_properties: { index: sent % 2, level: 'high' },
          body: rhea.message.data_section(Buffer.from(`{"n":${sent++}}`)),
        })
    }
    link.on('sendable', sendMore)
    sendMore()
    await expect.poll(() => accepted).toBe(count)
    const envelopes = log.envelopes()
    expect(envelopes.map(({ body }) => JSON.parse(String(body)).n)).toEqual(Array.from({ length: count }, (_, n) => n))
    expect(envelopes[7]).toMatchObject({
      deviceId: 'd1',
      properties: { index: '1', level: 'high' },
      systemProperties: { contentType: 'application/json' },
    })
  })
})

describe('many devices on one connection', () => {
  test('a thousand by tokens: each has its session, and all messages are on the log [G-6]', async () => {
    const { connect, log, edge } = await start({ partitions: 4 })
    const connection = await connect()
    const [requests, answers] = [connection.open_sender('$cbs'), connection.open_receiver('$cbs')]
    const statuses: unknown[] = []
    answers.on('message', ({ message }) => statuses.push(message?.application_properties?.['status-code']))
    const count = 1_000
    let put = 0
    const putMore = (): void => {
      while (put < count && requests.sendable()) {
        const name = `hub/devices/d${put++}`
        const application_properties = { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name }
        requests.send({ message_id: put, to: '$cbs', reply_to: 'cbs', application_properties, body: 'a token' })
      }
    }
    requests.on('sendable', putMore)
    await expect.poll(() => statuses.length).toBe(count)
    expect(new Set(statuses)).toEqual(new Set([200]))
    let accepted = 0
    for (let index = 0; index < count; index++) {
      const session = connection.create_session()
      session.begin()
      const link = session.open_sender(events(`d${index}`))
      link.once('sendable', () => {
        link.send({ body: rhea.message.data_section(Buffer.from(`from ${index}`)) })
      })
      link.on('accepted', () => accepted++)
    }
    await expect.poll(() => accepted).toBe(count)
    expect(edge.sessions.size).toBe(count)
    const stored = log.envelopes().map(({ deviceId, body }) => `${deviceId}: ${String(body)}`)
    expect(new Set(stored)).toEqual(new Set(Array.from({ length: count }, (_, index) => `d${index}: from ${index}`)))
  })
})
