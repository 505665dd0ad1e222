import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect as connectPlain } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import rhea, { type Connection, type EventContext, type Message, type Sender } from 'rhea'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ArtemisForTests, artemisMissing, startArtemis } from '#infra/testbed/artemis.ts'
import { Relay } from '#infra/testbed/relay.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { writeServerCertificate } from '#infra/testbed/server-certificate.ts'
import { endpointConformance } from '#pipeline/endpoints/endpoint.conformance.ts'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { messagesAt } from '#pipeline/endpoints/selected-fixture.ts'
import type { AmqpSettings } from '#schemas/endpoint-kinds/amqp.ts'
import { repetitionId } from '../queues/repetition-id.ts'
import { openAmqpEndpoint } from './amqp-endpoint.ts'

const artemis = serverFor('ActiveMQ Artemis', artemisMissing)

let server: ArtemisForTests
let relay: Relay
let observer: Connection
let marks: Sender
let received: Message[]

const bodyOf = ({ body }: Message): string => (body as { readonly content: Buffer }).content.toString()

/** Whoever observes takes everything off the queue, as a consumer does; the endpoint's connections pass a relay. */
async function start(): Promise<void> {
  server = await startArtemis()
  relay = new Relay(server.port)
  await relay.listen()
  received = []
  observer = rhea.create_container().connect({
    host: '127.0.0.1',
    port: server.port,
    username: 'all',
    password: server.password,
    reconnect: false,
  })
  observer.on('disconnected', () => {})
  observer.open_receiver('telemetry').on('message', ({ message }: EventContext) => {
    if (message !== undefined) received.push(message)
  })
  marks = observer.open_sender('telemetry')
  await new Promise((resolve) => marks.once('sendable', resolve))
}

async function stop(): Promise<void> {
  observer.close()
  await relay.close()
  await server.stop()
}

/** What was sent before has arrived once this has. */
async function arrived(): Promise<readonly Message[]> {
  const subject = `mark ${Math.random()}`
  marks.send({ subject, body: rhea.message.data_section(Buffer.from('')) })
  await expect.poll(() => received.some((message) => message.subject === subject), { timeout: 30_000 }).toBe(true)
  return received.filter((message) => !message.subject?.startsWith('mark '))
}

function endpoint(settings: Partial<AmqpSettings> = {}, ownPorts: number[] = []): Endpoint {
  const all: AmqpSettings = {
    url: `amqp://127.0.0.1:${relay.port}`,
    user: 'penstock',
    password: server.password,
    queue: 'telemetry',
    ca: undefined,
    windowMessages: 100,
    messagesMax: 1_000,
    delayMs: 100,
    timeoutMs: 5_000,
    ...settings,
  }
  return openAmqpEndpoint({ name: 'amqp', settings: all, rules: { ownPorts, allowed: [] } })
}

describe.skipIf(artemis.skip)(`ActiveMQ Artemis ${artemis.note}`, () => {
  endpointConformance('amqp', {
    start,
    stop,
    clear: async () => {
      await arrived()
      received = []
    },
    open: async () => endpoint(),
    contents: async () =>
      (await arrived()).map((message) => ({
        deviceId: String(message.message_annotations?.['iothub-connection-device-id']),
        body: bodyOf(message),
        // Without the moment behind it.
        id: String(message.message_id).replace(/\/\d+$/, ''),
      })),
    dropsRepetitions: false,
    badBody: undefined,
    oversizedBytes: undefined,
    away: async () => {
      relay.isShut = true
      relay.cut()
      return async () => {
        relay.isShut = false
      }
    },
    openWithoutRight: undefined,
  })

  describe('a queue', () => {
    let opened: Endpoint[] = []
    beforeAll(start)
    afterAll(stop)
    beforeEach(() => {
      received = []
    })
    afterEach(async () => {
      await Promise.all(opened.map((each) => each.close()))
      opened = []
    })

    const deliver = async (
      settings: Partial<AmqpSettings>,
      messages = messagesAt(0, ['a']),
      ownPorts: number[] = [],
    ) => {
      const to = endpoint(settings, ownPorts)
      opened.push(to)
      const never = new AbortController().signal
      return await to.deliver({ id: 'amqp/test/0/0-0/edge.1.2#0+1', topic: 'test', partition: 0, messages }, never)
    }
    const [message = expect.fail('there is a message')] = messagesAt(0, ['a'])

    it('gets what the device set as properties, and what the hub knows as annotations', async () => {
      const whole = {
        ...message,
        deviceId: 'küche',
        properties: { 'iothub-connection-device-id': 'y', 'é \0': '\u{1f600}' },
        systemProperties: {
          contentType: 'text/é',
          contentEncoding: 'utf-8',
          correlationId: 'c',
          userId: 'u',
          messageId: 'theirs',
          moduleId: 'm',
          subject: 's',
        },
      }
      expect(await deliver({}, [whole])).toEqual({ kind: 'delivered' })
      const [got = expect.fail('it arrives')] = await arrived()
      expect(got).toMatchObject({
        message_id: repetitionId(message),
        correlation_id: 'c',
        content_type: 'text/%C3%A9',
        content_encoding: 'utf-8',
        application_properties: whole.properties,
      })
      expect(Buffer.from(got.user_id as unknown as Buffer).toString()).toBe('u')
      const { 'iothub-enqueuedtime': time, ...annotations } = got.message_annotations ?? {}
      expect(Number(time)).toBe(message.enqueuedAtMs)
      expect(annotations).toEqual({
        'iothub-connection-device-id': 'küche',
        'iothub-connection-module-id': 'm',
        'iothub-message-id': 'theirs',
        'dt-subject': 's',
      })
    })

    it.each([
      ['a password that is wrong', { password: 'other' }, 'Unauthorized'],
      ['nobody', { user: undefined, password: undefined }, 'Unauthorized'],
      ['a user without the right', { user: 'limited' }, 'Unauthorized'],
      ['a queue without the right', { queue: 'private' }, 'Unauthorized'],
      ['a queue that is not there', { queue: 'nowhere', user: 'all' }, 'NotFound'],
    ] as const)('is held of %s', async (_what, settings, failure) => {
      expect(await deliver(settings)).toMatchObject({ kind: 'held', error: { failure } })
      expect(await opened.at(-1)?.accepts()).toBe(false)
    })

    it('that is full is tried again, and knows what it has', async () => {
      const bodies = Array.from({ length: 20 }, () => 'x'.repeat(2_000))
      const outcome = await deliver({ queue: 'full', windowMessages: 1 }, messagesAt(0, bodies))
      expect(outcome).toMatchObject({ kind: 'retry', error: { failure: 'Throttled' } })
      expect(outcome.kind === 'retry' && outcome.deliveredCount).toBeGreaterThan(0)
    })

    it('takes a body that is larger than a frame', async () => {
      const body = 'x'.repeat(400_000)
      expect(await deliver({}, messagesAt(0, [body]))).toEqual({ kind: 'delivered' })
      expect((await arrived()).map(bodyOf)).toEqual([body])
    })

    it("on a port of Penstock's own, or an address of the link, is not connected to", async () => {
      const url = `amqp://localhost:${relay.port}`
      expect(await deliver({ url }, [message], [relay.port])).toMatchObject({ kind: 'held' })
      expect(await deliver({ url: 'amqp://169.254.169.254' })).toMatchObject({ kind: 'held' })
      expect(await arrived()).toEqual([])
    })

    it('behind TLS must have a certificate of a known authority', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'penstock-amqp-'))
      const { certFile, keyFile, ca } = writeServerCertificate(folder)
      const secured = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (inner) => {
        const outer = connectPlain(server.port, '127.0.0.1')
        inner.pipe(outer).pipe(inner)
        inner.on('error', () => outer.destroy()).on('close', () => outer.destroy())
        outer.on('error', () => inner.destroy()).on('close', () => inner.destroy())
      })
      await new Promise<void>((resolve) => secured.listen(0, '127.0.0.1', resolve))
      const { port } = secured.address() as AddressInfo
      try {
        for (const [url, trusted, kind] of [
          [`amqps://localhost:${port}`, ca, 'delivered'],
          [`amqps://127.0.0.1:${port}`, ca, 'delivered'],
          [`amqps://localhost:${port}`, undefined, 'retry'],
          [`amqps://localhost:${relay.port}`, ca, 'retry'],
          [`amqp://localhost:${port}`, ca, 'retry'],
        ] as const)
          expect(await deliver({ url, ca: trusted, timeoutMs: 2_000 }), url).toMatchObject({ kind })
      } finally {
        await Promise.all(opened.map((each) => each.close()))
        await new Promise((resolve) => secured.close(resolve))
        rmSync(folder, { recursive: true, force: true })
      }
    })
  })
})
