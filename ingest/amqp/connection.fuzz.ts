/** Longer by hand: `RUNS=10000000 vitest run ingest/amqp/connection.fuzz.ts --testTimeout=0`. */
import { expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { Authenticate } from '#ingest/session/principal.ts'
import { frame, performatives } from '#runtime/amqp/frames.ts'
import { writeMessage } from '#runtime/amqp/message.ts'
import { endOfValue, ValueReader } from '#runtime/amqp/read-values.ts'
import { described, uint } from '#runtime/amqp/write-values.ts'
import { fuzzRounds } from '#runtime/fuzz-rounds-fixture.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { expectForeseen, faultsOf, type Random, sayInPieces } from './fuzz-fixture.ts'
import {
  attachFrame,
  beginFrame,
  dataMessage,
  flowFrame,
  header,
  openFrame,
  putToken,
  rawClient,
  saslInit,
  transferFrame,
} from './raw-client-fixture.ts'
import { batchFormat } from './telemetry-target.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Frames as a client with two devices and tokens may send them, in an order that makes some sense. */
function stream(random: Random): Buffer {
  const parts: Buffer[] = random(2) === 0 ? [header(true), saslInit('ANONYMOUS'), header(false)] : [header(false)]
  parts.push(openFrame(random(2) === 0 ? 60_000 : undefined), beginFrame(0), beginFrame(1))
  parts.push(attachFrame(0, 0, '/devices/d1/messages/events'), attachFrame(1, 0, '/devices/d2/messages/events'))
  parts.push(attachFrame(0, 1, '$cbs'), attachFrame(0, 2, '$cbs', { receives: true }), flowFrame(0, 2, 5))
  for (let count = 0; count < random(20); count++) parts.push(anyFrame(random, count))
  return Buffer.concat(parts)
}

function anyFrame(random: Random, deliveryId: number): Buffer {
  const channel = random(2)
  const payload = dataMessage('x'.repeat(random(300)), { k: String(random(3)) })
  switch (random(9)) {
    case 0:
      return putToken(deliveryId, 'hub/devices/d1', 'token', 0, 1)
    case 1:
      return transferFrame({ channel, deliveryId, more: random(2) === 0, payload })
    case 2:
      return transferFrame({ channel, deliveryId, format: batchFormat, payload: writeMessage({ body: payload }) })
    case 3:
      return transferFrame({ channel, deliveryId, settled: true, aborted: random(4) === 0, payload })
    case 4:
      return frame(channel, performatives.disposition, [
        random(2) === 0,
        uint(random(9)),
        uint(random(9)),
        true,
        described(0x24, []),
      ])
    case 5:
      return frame(channel, performatives.detach, [uint(random(3)), true])
    case 6:
      return flowFrame(channel, random(3), random(100))
    case 7:
      return Buffer.from([0, 0, 0, 8, 2, 0, 0, 0])
    default:
      return transferFrame({ channel, deliveryId, payload })
  }
}

test(`damaged streams, cut anywhere: every fault is an expected one, and nothing stays behind, SEED=${seed}`, async () => {
  const random = seededRandom(seed).below
  const authenticate: Authenticate = ({ clientId }) => ({
    deviceId: clientId,
    moduleId: undefined,
    expiresAtMs: undefined,
  })
  let fixture = edgeFixture({ authenticate })
  for (const _ of fuzzRounds('streams of devices', 2.5)) {
    const client = rawClient(fixture)
    const { connection } = client
    const faults = faultsOf(connection)
    await sayInPieces(client, stream(random), random(4), random)
    expectForeseen(faults)
    connection.onClosed()
    expect([connection.joinedBytes, fixture.edge.sessions.size, fixture.edge.connections.size]).toEqual([0, 0, 0])
    if (random(50) > 0) continue
    // An edge that has settled all takes no more.
    await fixture.settle()
    fixture = edgeFixture({ authenticate })
  }
  await fixture.settle()
})

test(`any bytes as a value: read or refused, and skipped to the same place, SEED=${seed}`, () => {
  const random = seededRandom(seed + 1).below
  const starts = [0x00, 0x45, 0xa1, 0xb1, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0, 0xf0, 0x52, 0x70, 0x80, 0x98]
  for (const _ of fuzzRounds('values', 2.5)) {
    const bytes = Buffer.from(
      Array.from({ length: 1 + random(40) }, () =>
        random(3) === 0 ? starts[random(starts.length)]! : random(random(2) === 0 ? 16 : 256),
      ),
    )
    const reader = new ValueReader(bytes, 0, bytes.length)
    try {
      reader.next()
    } catch (error) {
      expect(isPenstockError(error, 'INGEST_FRAME_MALFORMED'), String(error)).toBe(true)
      continue
    }
    expect(reader.at).toBeLessThanOrEqual(bytes.length)
    // Descriptions of descriptions are read, but nowhere skipped.
    try {
      expect(endOfValue(bytes, 0, bytes.length)).toBe(reader.at)
    } catch (error) {
      expect(isPenstockError(error) && bytes.includes(0), String(error)).toBe(true)
    }
  }
  expect(limits.amqpDepthMax).toBeLessThan(100)
})
