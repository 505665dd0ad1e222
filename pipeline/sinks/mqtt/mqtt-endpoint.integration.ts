import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RunningBroker } from '#infra/testbed/broker.ts'
import { mosquittoMissing, startMosquitto } from '#infra/testbed/mosquitto.ts'
import { Relay } from '#infra/testbed/relay.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { writeServerCertificate } from '#infra/testbed/server-certificate.ts'
import { endpointConformance } from '#pipeline/endpoints/endpoint.conformance.ts'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { messagesAt } from '#pipeline/endpoints/selected-fixture.ts'
import type { MqttSettings } from '#schemas/endpoint-kinds/mqtt.ts'
import { openMqttEndpoint } from './mqtt-endpoint.ts'

const mosquitto = serverFor('mosquitto', mosquittoMissing)

interface Published {
  readonly topic: string
  readonly body: string
  readonly fields: Readonly<Record<string, string>>
}

let folder: string
let server: RunningBroker
let relay: Relay
let observer: MqttClient
let published: Published[]

const fieldsOf = ({ properties }: IPublishPacket): Record<string, string> =>
  ({ ...properties?.userProperties }) as Record<string, string>

/** The broker, started by root, shall read files of root. */
const user = 'user root'

/** A broker that gives a right to some topics only; what the endpoint publishes passes a relay. */
async function start(): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), 'penstock-mqtt-'))
  writeFileSync(join(folder, 'rights'), 'topic readwrite telemetry/#\n')
  server = await startMosquitto([
    user,
    `acl_file ${join(folder, 'rights')}`,
    'max_packet_size 200000',
    'max_queued_messages 0',
    'max_inflight_messages 7',
  ])
  relay = new Relay(server.port)
  await relay.listen()
  published = []
  observer = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.port}`, { protocolVersion: 5 })
  observer.on('message', (topic, payload, packet) => {
    published.push({ topic, body: payload.toString(), fields: fieldsOf(packet) })
  })
  await observer.subscribeAsync('telemetry/#', { qos: 1 })
}

async function stop(): Promise<void> {
  observer.end(true)
  await relay.close()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}

/** What was published before has arrived once this has: the broker keeps the order of what it takes. */
async function arrived(): Promise<readonly Published[]> {
  const mark = String(Math.random())
  await observer.publishAsync('telemetry/mark', mark, { qos: 1 })
  await expect.poll(() => published.some(({ body }) => body === mark), { timeout: 30_000 }).toBe(true)
  return published.filter(({ topic }) => topic !== 'telemetry/mark')
}

function endpoint(settings: Partial<MqttSettings> = {}, ownPorts: number[] = []): Endpoint {
  const all: MqttSettings = {
    url: `mqtt://127.0.0.1:${relay.port}`,
    user: undefined,
    password: undefined,
    topic: 'telemetry/{deviceId}',
    ca: undefined,
    windowMessages: 100,
    messagesMax: 1_000,
    delayMs: 100,
    timeoutMs: 5_000,
    ...settings,
  }
  return openMqttEndpoint({ name: 'mqtt', settings: all, rules: { ownPorts, allowed: [] } })
}

describe.skipIf(mosquitto.skip)(`mosquitto ${mosquitto.note}`, () => {
  endpointConformance('mqtt', {
    start,
    stop,
    clear: async () => {
      await arrived()
      published = []
    },
    open: async () => endpoint(),
    contents: async () =>
      (await arrived()).map(({ body, fields }) => ({
        deviceId: fields['iothub-connection-device-id'] ?? '',
        body,
        id: fields['penstock-message-id'],
      })),
    dropsRepetitions: false,
    badBody: undefined,
    oversizedBytes: 200_000,
    away: async () => {
      relay.isShut = true
      relay.cut()
      return async () => {
        relay.isShut = false
      }
    },
    openWithoutRight: undefined,
  })

  describe('a broker', () => {
    let opened: Endpoint[] = []
    beforeAll(start)
    afterAll(stop)
    beforeEach(() => {
      published = []
    })
    afterEach(async () => {
      await Promise.all(opened.map((each) => each.close()))
      opened = []
    })

    const deliver = async (
      settings: Partial<MqttSettings>,
      messages = messagesAt(0, ['a']),
      ownPorts: number[] = [],
    ) => {
      const to = endpoint(settings, ownPorts)
      opened.push(to)
      const never = new AbortController().signal
      return await to.deliver({ id: 'mqtt/test/0/0-0/edge.1.2#0+1', topic: 'test', partition: 0, messages }, never)
    }
    const [message = expect.fail('there is a message')] = messagesAt(0, ['a'])

    it('is told of the device, whatever its id holds, and no device passes for another', async () => {
      const odd = {
        ...message,
        deviceId: 'a/b+c#%é',
        properties: { 'iothub-connection-device-id': 'y', 'é: \n': '\0 \u{1}\u{9f}\u{fffe}\u{1f600}%' },
      }
      expect(await deliver({}, [odd])).toEqual({ kind: 'delivered' })
      const [{ topic, fields } = expect.fail('it arrives')] = await arrived()
      expect(topic).toBe('telemetry/a%2Fb%2Bc%23%25%C3%A9')
      expect(fields).toEqual({
        'penstock-message-id': message.id,
        'iothub-connection-device-id': 'a/b+c#%25é',
        'iothub-enqueuedtime': new Date(message.enqueuedAtMs).toISOString(),
        'iothub-content-type': 'application/json',
        'iothub-content-encoding': 'utf-8',
        '%69othub-connection-device-id': 'y',
        'é: %0A': '%00 %01%C2%9F%EF%BF%BE\u{1f600}%25',
      })
    })

    it('is not sent a text that is longer than it could be', async () => {
      const long = { ...message, properties: { long: 'x'.repeat(65_536) } }
      expect(await deliver({}, [long])).toMatchObject({ kind: 'refused', error: { failure: 'MaxMessageSizeExceeded' } })
    })

    it('that gives no right to a topic holds', async () => {
      expect(await deliver({ topic: 'private/{deviceId}' })).toMatchObject({
        kind: 'held',
        error: { failure: 'Unauthorized' },
      })
    })

    it('that lets nobody in without a password holds', async () => {
      const closed = await startMosquitto(['allow_anonymous false'])
      try {
        expect(await deliver({ url: `mqtt://127.0.0.1:${closed.port}` })).toMatchObject({
          kind: 'held',
          error: { failure: 'Unauthorized' },
        })
      } finally {
        await closed.stop()
      }
    })

    it('on a port of Penstock, which would bring everything back, is not connected to; nor an address of the link', async () => {
      const url = `mqtt://localhost:${relay.port}`
      expect(await deliver({ url }, [message], [relay.port])).toMatchObject({ kind: 'held' })
      expect(await deliver({ url: 'mqtt://169.254.169.254:1883' })).toMatchObject({ kind: 'held' })
      expect(await arrived()).toEqual([])
    })

    it('that says how many answers it owes at most is not sent more', async () => {
      const bodies = Array.from({ length: 300 }, (_, index) => String(index))
      expect(await deliver({ windowMessages: 300 }, messagesAt(0, bodies))).toEqual({ kind: 'delivered' })
      expect((await arrived()).map(({ body }) => body)).toEqual(bodies)
    })

    it('with TLS must have a certificate of a known authority', async () => {
      const { certFile, keyFile, ca } = writeServerCertificate(folder)
      const secured = await startMosquitto([user, `certfile ${certFile}`, `keyfile ${keyFile}`])
      try {
        for (const [url, trusted, kind] of [
          [`mqtts://localhost:${secured.port}`, ca, 'delivered'],
          [`mqtts://127.0.0.1:${secured.port}`, ca, 'delivered'],
          [`mqtts://localhost:${secured.port}`, undefined, 'retry'],
          [`mqtts://localhost:${server.port}`, ca, 'retry'],
          [`mqtt://localhost:${secured.port}`, ca, 'retry'],
        ] as const)
          expect(await deliver({ url, ca: trusted }), url).toMatchObject({ kind })
      } finally {
        await secured.stop()
      }
    })
  })
})
