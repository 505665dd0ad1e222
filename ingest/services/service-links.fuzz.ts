import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { expectForeseen, faultsOf, type Random } from '#ingest/amqp/fuzz-fixture.ts'
import {
  attachFrame,
  beginFrame,
  flowFrame,
  header,
  openFrame,
  putToken,
  rawClient,
  transferFrame,
} from '#ingest/amqp/raw-client-fixture.ts'
import { frame, performatives } from '#runtime/amqp/frames.ts'
import { writeMessage } from '#runtime/amqp/message.ts'
import { described, uint } from '#runtime/amqp/write-values.ts'
import { fuzzRounds } from '#runtime/fuzz-rounds-fixture.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { appendBatch, serviceKey, servicesFixture } from './services-fixture.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

const token = createSasToken({
  scope: 'localhost',
  key: serviceKey,
  policyName: 'service',
  expiresAtMs: Date.now() + 3_600_000,
})
const addresses = [
  '$management',
  '/messages/devicebound',
  '/messages/serviceBound/feedback',
  '/messages/events/$management',
  'telemetry/ConsumerGroups/g/Partitions/0',
  'events/ConsumerGroups/g/Partitions/0',
  'telemetry/ConsumerGroups/g/Partitions/9',
]
const selectors = [
  "amqp.annotation.x-opt-offset > '-1'",
  "amqp.annotation.x-opt-offset > '@latest'",
  "amqp.annotation.x-opt-sequence-number >= '3'",
  'nonsense',
]

/** What a service may say, some of it before its token is good. */
function anyFrame(random: Random, deliveryId: number): Buffer {
  const handle = 2 + random(4)
  const address = addresses[random(addresses.length)] ?? ''
  switch (random(7)) {
    case 0: {
      const selector = selectors[random(selectors.length)] ?? ''
      return attachFrame(0, handle, address, {
        receives: random(3) > 0,
        selector,
        ...(random(3) === 0 && { epoch: random(3) }),
      })
    }
    case 1:
      return flowFrame(0, handle, random(50), random(20))
    case 2:
      return frame(0, performatives.detach, [uint(handle), true])
    case 3:
      return frame(0, performatives.disposition, [
        true,
        uint(random(9)),
        uint(random(9)),
        random(2) === 0,
        described(0x24 + random(3), []),
      ])
    case 4: {
      const properties = { messageId: 'm', to: random(2) === 0 ? '/devices/d/messages/devicebound' : null }
      const applicationProperties: [string, string][] = [
        ['operation', 'READ'],
        ['name', 'telemetry'],
        ['type', 'com.microsoft:partition'],
        ['partition', String(random(4))],
      ]
      return transferFrame({
        handle,
        deliveryId,
        payload: writeMessage({ properties, applicationProperties, body: Buffer.from('x') }),
      })
    }
    case 5:
      return putToken(deliveryId, 'sb://localhost/telemetry', random(2) === 0 ? token : 'token')
    default:
      return transferFrame({ handle, deliveryId, more: random(2) === 0 })
  }
}

const fixture = servicesFixture({ requests: async () => ({ status: 204, headers: {}, body: Buffer.alloc(0) }) })
const rejections: unknown[] = []
const onRejection = (reason: unknown) => void rejections.push(reason)

beforeAll(async () => {
  for (let batch = 0; batch < 3; batch++)
    await appendBatch(
      fixture.memoryLog,
      0,
      Array.from({ length: 20 }, () => ({})),
    )
  process.on('unhandledRejection', onRejection)
})
afterAll(() => void process.off('unhandledRejection', onRejection))

test(`what services say, damaged and cut anywhere: every fault is an expected one, and nothing stays behind, SEED=${seed}`, async () => {
  const random = seededRandom(seed).below
  for (const _ of fuzzRounds('streams of services', 5)) {
    const client = rawClient(fixture, fixture.open)
    const { connection } = client
    const faults = faultsOf(connection)
    client.say(
      header(false),
      openFrame(),
      beginFrame(0),
      attachFrame(0, 0, '$cbs'),
      attachFrame(0, 1, '$cbs', { receives: true }),
    )
    await client.answers()
    if (random(4) > 0) client.say(putToken(0, 'sb://localhost', token))
    await client.answers()
    for (let count = random(15); count > 0; count--) {
      const bytes = anyFrame(random, 1 + count)
      if (random(6) === 0) bytes[random(bytes.length)] = random(256)
      const cut = random(bytes.length)
      connection.onChunk(Buffer.from(bytes.subarray(0, cut)))
      connection.onChunk(Buffer.from(bytes.subarray(cut)))
      if (random(2) === 0) await client.answers()
      if (random(4) === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    connection.onClosed()
    await new Promise((resolve) => setImmediate(resolve))
    expectForeseen(faults)
    expect([connection.joinedBytes, fixture.services.readers.count, fixture.edge.connections.size]).toEqual([0, 0, 0])
  }
  expect(rejections).toEqual([])
})
