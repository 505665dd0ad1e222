import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DiscardPolicy, jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type NatsForTests, natsMissing, startNats } from '#infra/testbed/nats.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { writeServerCertificate } from '#infra/testbed/server-certificate.ts'
import { endpointConformance } from '#pipeline/endpoints/endpoint.conformance.ts'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { messagesAt } from '#pipeline/endpoints/selected-fixture.ts'
import type { NatsSettings } from '#schemas/endpoint-kinds/nats.ts'
import { repetitionId } from '../queues/repetition-id.ts'
import { openNatsEndpoint } from './nats-endpoint.ts'

const nats = serverFor('NATS', natsMissing)
const stream = 'TELEMETRY'
const secret = 'a word: with "signs"'
const users = [
  'authorization {',
  '  users = [',
  '    { user: all, password: all }',
  `    { user: penstock, password: ${JSON.stringify(secret)}, permissions: { publish: "telemetry.>", subscribe: "_INBOX.>" } }`,
  '  ]',
  '}',
]

let server: NatsForTests
let observer: NatsConnection

async function connected(): Promise<NatsConnection> {
  return await connect({ servers: `127.0.0.1:${server.port}`, user: 'all', pass: 'all' })
}

async function makeStream(settings: Partial<StreamConfig> = {}): Promise<void> {
  const { streams } = await jetstreamManager(observer)
  await streams.delete(stream).catch(() => {})
  // The server answers before the files of the one before are gone, and cannot make them anew until then.
  const made = () =>
    streams.add({ name: stream, subjects: ['telemetry.*'], ...settings }).then(
      () => 'made',
      (error: Error) => error.message,
    )
  await expect.poll(made).toBe('made')
}

const start = async (): Promise<void> => {
  server = await startNats(users)
  observer = await connected()
}
const stop = async (): Promise<void> => {
  await observer.close()
  await server.stop()
}

interface Stored {
  readonly subject: string
  readonly body: string
  readonly headers: ReadonlyMap<string, string>
}

async function stored(): Promise<Stored[]> {
  const { streams } = await jetstreamManager(observer)
  const { messages } = (await streams.info(stream).catch(() => ({ state: { messages: 0 } }))).state
  if (messages === 0) return []
  const consumer = await jetstream(observer).consumers.get(stream)
  const found: Stored[] = []
  for await (const message of await consumer.fetch({ max_messages: messages, expires: 10_000 })) {
    const headers = new Map([...(message.headers ?? [])].map(([name, [value = '']]) => [name, value]))
    found.push({ subject: message.subject, body: message.string(), headers })
  }
  return found
}

function endpoint(settings: Partial<NatsSettings> = {}, ownPorts: number[] = []): Endpoint {
  const all: NatsSettings = {
    url: `nats://127.0.0.1:${server.port}`,
    user: 'penstock',
    password: secret,
    token: undefined,
    credentials: undefined,
    subject: 'telemetry.{deviceId}',
    ca: undefined,
    windowMessages: 100,
    messagesMax: 1_000,
    delayMs: 100,
    timeoutMs: 5_000,
    ...settings,
  }
  return openNatsEndpoint({ name: 'nats', settings: all, rules: { ownPorts, allowed: [] } })
}

describe.skipIf(nats.skip)(`NATS ${nats.note}`, () => {
  endpointConformance('nats', {
    start,
    stop,
    clear: () => makeStream(),
    open: async () => endpoint(),
    contents: async () =>
      (await stored()).map(({ body, headers }) => ({
        deviceId: headers.get('iothub-connection-device-id') ?? '',
        body,
        id: headers.get('penstock-message-id'),
      })),
    dropsRepetitions: true,
    badBody: undefined,
    oversizedBytes: 1_048_577,
    away: async () => {
      await observer.close()
      await server.kill()
      return async () => {
        await server.start()
        observer = await connected()
      }
    },
    openWithoutRight: async () => {
      const { streams } = await jetstreamManager(observer)
      await streams.delete(stream)
      return {
        endpoint: endpoint(),
        mend: () => makeStream(),
      }
    },
  })

  describe('a subject and its stream', () => {
    let opened: Endpoint[] = []
    beforeAll(start)
    afterAll(stop)
    beforeEach(() => makeStream())
    afterEach(async () => {
      await Promise.all(opened.map((each) => each.close()))
      opened = []
    })

    const deliver = async (
      settings: Partial<NatsSettings>,
      messages = messagesAt(0, ['a']),
      ownPorts: number[] = [],
    ) => {
      const to = endpoint(settings, ownPorts)
      opened.push(to)
      const never = new AbortController().signal
      return await to.deliver({ id: 'nats/test/0/0-0/edge.1.2#0+1', topic: 'test', partition: 0, messages }, never)
    }
    const [message = expect.fail('there is a message')] = messagesAt(0, ['a'])

    it('have what lies at the place of another message in a log that was made anew', async () => {
      const anew = { ...message, enqueuedAtMs: message.enqueuedAtMs + 1, body: Buffer.from('anew') }
      for (const each of [message, anew, anew]) expect(await deliver({}, [each])).toEqual({ kind: 'delivered' })
      expect((await stored()).map(({ body }) => body)).toEqual(['a', 'anew'])
    })

    it('name the device, whatever its id holds, and no device passes for another', async () => {
      const forged = {
        ...message,
        deviceId: 'a.b>c*%é',
        properties: { 'Nats-Msg-Id': 'x', 'IoTHub-connection-device-id': 'y', 'é: ': ' 1\r\n\u{1f600}%', plain: 'a b' },
        systemProperties: { contentType: 'text/plain', moduleId: 'm', 'connection-thing': 'z' },
      }
      expect(await deliver({}, [forged])).toEqual({ kind: 'delivered' })
      const [{ subject, headers } = expect.fail('it is stored')] = await stored()
      expect(decodeURIComponent(subject)).toBe('telemetry.a.b>c*%é')
      expect(subject.split('.')).toHaveLength(2)
      expect(Object.fromEntries(headers)).toEqual({
        'Nats-Msg-Id': repetitionId(message),
        'penstock-message-id': message.id,
        'iothub-connection-device-id': 'a.b>c*%25%C3%A9',
        'iothub-enqueuedtime': new Date(message.enqueuedAtMs).toISOString(),
        'iothub-content-type': 'text/plain',
        'iothub-connection-module-id': 'm',
        'iothub-connection-thing': 'z',
        '%4Eats-Msg-Id': 'x',
        '%49oTHub-connection-device-id': 'y',
        '%C3%A9%3A%20': '%201%0D%0A%F0%9F%98%80%25',
        plain: 'a b',
      })
    })

    it.each([
      ['a word that is wrong', { password: 'other' }, 'Unauthorized'],
      ['a subject that the user may not publish to', { subject: 'private.{deviceId}' }, 'Unauthorized'],
      ['a subject that no stream takes', { subject: 'telemetry.{deviceId}.more' }, 'NotFound'],
    ] as const)('%s holds', async (_what, settings, failure) => {
      expect(await deliver(settings)).toMatchObject({ kind: 'held', error: { failure } })
    })

    it("Penstock's own port, or an address of the link, is not connected to", async () => {
      expect(await deliver({ url: `nats://localhost:${server.port}` }, [message], [server.port])).toMatchObject({
        kind: 'held',
      })
      expect(await deliver({ url: 'nats://169.254.169.254:4222' })).toMatchObject({ kind: 'held' })
      expect(await stored()).toEqual([])
    })

    it('a stream that is full is tried again, and knows what it has', async () => {
      await makeStream({ max_msgs: 2, discard: DiscardPolicy.New })
      const outcome = await deliver({ windowMessages: 1 }, messagesAt(0, ['a', 'b', 'c', 'd']))
      expect(outcome).toMatchObject({ kind: 'retry', deliveredCount: 2, error: { failure: 'Throttled' } })
    })

    it('a message that the stream finds too large is refused, and all others are delivered', async () => {
      await makeStream({ max_msg_size: 2_000 })
      const outcome = await deliver({}, messagesAt(0, ['a', 'x'.repeat(3_000), 'b']))
      expect(outcome).toMatchObject({ kind: 'refused', error: { failure: 'MaxMessageSizeExceeded' } })
      expect(outcome.kind === 'refused' && [...(outcome.refused?.keys() ?? [])]).toEqual([1])
      expect((await stored()).map(({ body }) => body)).toEqual(['a', 'b'])
    })
  })

  it('a server with TLS must have a certificate of a known authority; one without is not spoken to', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'penstock-nats-tls-'))
    const { certFile, keyFile, ca } = writeServerCertificate(folder)
    const secured = await startNats([`tls { cert_file: "${certFile}", key_file: "${keyFile}" }`])
    const plain = await startNats()
    const never = new AbortController().signal
    try {
      for (const [url, trusted, expected] of [
        [`tls://localhost:${secured.port}`, ca, { kind: 'held', error: { failure: 'NotFound' } }],
        [`tls://127.0.0.1:${secured.port}`, ca, { kind: 'held', error: { failure: 'NotFound' } }],
        [`tls://localhost:${secured.port}`, undefined, { kind: 'retry' }],
        [`tls://localhost:${plain.port}`, ca, { kind: 'retry' }],
        [`nats://localhost:${secured.port}`, ca, { kind: 'retry' }],
      ] as const) {
        const to = endpoint({ url, ca: trusted, user: undefined, password: undefined })
        const request = { id: 'nats/test/0/0-0#0+1', topic: 'test', partition: 0, messages: messagesAt(0, ['a']) }
        // No stream is there: whoever says so was spoken to.
        expect(await to.deliver(request, never), url).toMatchObject(expected)
        await to.close()
      }
    } finally {
      await secured.stop()
      await plain.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
