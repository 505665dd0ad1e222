import { generate, type IPublishPacket, type Packet, parser as packetParser } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import type { Envelope } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const seconds = Number(process.env.FUZZ_SECONDS ?? 5)

type Random = SeededRandom['below']

const topics = [
  'devices/d1/messages/events/',
  'devices/d1/messages/events/a=b&%24.mid=m%201',
  'plant/7/state',
  'devices/d1/messages/events',
]

function publish(random: Random, version: 4 | 5): Buffer {
  const qos = random(2) as 0 | 1
  const packet: IPublishPacket = {
    cmd: 'publish',
    topic: topics[random(topics.length)]!,
    payload: Buffer.alloc(random(20) === 0 ? random(70_000) : random(200), random(256)),
    qos,
    dup: qos === 1 && random(8) === 0,
    retain: random(8) === 0,
    ...(qos === 1 ? { messageId: 1 + random(65_535) } : {}),
  }
  if (version === 5 && random(2) === 0) {
    packet.properties = {
      userProperties: { k: String(random(3)) },
      ...(random(2) ? { contentType: 'text/plain' } : {}),
    }
    if (random(3) === 0) packet.properties.topicAlias = 1 + random(limits.topicAliasMax)
  }
  return generate(packet, { protocolVersion: version })
}

function stream(random: Random, version: 4 | 5): Buffer {
  const parts = [
    generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId: 'd1',
      clean: true,
      keepalive: 60,
    }),
  ]
  for (let i = random(30); i >= 0; i--) parts.push(random(12) === 0 ? Buffer.from([0xc0, 0]) : publish(random, version))
  return Buffer.concat(parts)
}

/** What the reference parser makes of a byte stream: its PUBLISH packets up to the first error. */
function referencePublishes(bytes: Buffer, version: 4 | 5): IPublishPacket[] {
  const publishes: IPublishPacket[] = []
  const parser = packetParser({ protocolVersion: version })
  let failed = false
  parser.on('packet', (packet: Packet) => {
    if (packet.cmd === 'publish' && !failed) publishes.push(packet)
  })
  parser.on('error', () => {
    failed = true
  })
  try {
    parser.parse(bytes)
  } catch {
    // Where a length inside a packet points beyond it, the reference throws; what it emitted before counts.
  }
  return publishes
}

async function edgeEnvelopes(
  bytes: Buffer,
  cuts: readonly number[],
): Promise<{ envelopes: Envelope[]; ended: boolean; answers: Buffer }> {
  const fixture = edgeFixture()
  const { connection, transport } = fixture.connect()
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    // A chunk's memory belongs to the network only during the call: overwrite it afterwards.
    const chunk = Buffer.from(bytes.subarray(from, cut))
    connection.onChunk(chunk)
    chunk.fill(0xee)
    from = cut
  }
  const ended = transport.ended
  await fixture.settle()
  return { envelopes: fixture.log.envelopes(), ended, answers: transport.bytes }
}

function pubacksIn(answers: Buffer, version: 4 | 5): (number | undefined)[] {
  const pubacks: (number | undefined)[] = []
  const parser = packetParser({ protocolVersion: version })
  parser.on('packet', (packet: Packet) => {
    if (packet.cmd === 'puback') pubacks.push(packet.messageId)
  })
  parser.parse(answers)
  return pubacks
}

function cutsOf(random: Random, length: number): number[] {
  const cuts = Array.from({ length: random(12) }, () => random(length)).sort((a, b) => a - b)
  return cuts
}

const bodyOf = (publishPacket: IPublishPacket) => Buffer.from(publishPacket.payload).toString('hex')
const bodies = (envelopes: readonly Envelope[]) => envelopes.map(({ body }) => Buffer.from(body).toString('hex'))

describe(`frames read in place against the reference parser, SEED=${seed}`, () => {
  test('one stream cut at every byte gives the same messages', async () => {
    const random = seededRandom(seed).below
    for (const version of [4, 5] as const) {
      const bytes = Buffer.concat([
        generate({
          cmd: 'connect',
          protocolId: 'MQTT',
          protocolVersion: version,
          clientId: 'd1',
          clean: true,
          keepalive: 60,
        }),
        ...topics.map((topic, i) =>
          generate(
            {
              cmd: 'publish',
              topic,
              payload: Buffer.alloc(60 * i, 65),
              qos: 1,
              messageId: i + 1,
              dup: false,
              retain: false,
            },
            { protocolVersion: version },
          ),
        ),
      ])
      const expected = referencePublishes(bytes, version).map(bodyOf)
      expect(expected.length).toBe(topics.length)
      for (let cut = 0; cut <= bytes.length; cut++) {
        const { envelopes, ended } = await edgeEnvelopes(bytes, [cut, Math.min(bytes.length, cut + random(4))])
        expect(bodies(envelopes), `cut at ${cut}`).toEqual(expected)
        expect(ended).toBe(false)
      }
    }
  })

  test('valid streams, cut anywhere: same messages in the same order, each QoS 1 acknowledged in order', async () => {
    const random = seededRandom(seed + 1).below
    for (const endAtMs = Date.now() + (seconds * 1000) / 2; Date.now() < endAtMs; ) {
      const version = random(2) === 0 ? 4 : 5
      const bytes = stream(random, version)
      const reference = referencePublishes(bytes, version)
      const { envelopes, ended, answers } = await edgeEnvelopes(bytes, cutsOf(random, bytes.length))
      expect(ended).toBe(false)
      expect(bodies(envelopes)).toEqual(reference.map(bodyOf))
      expect(envelopes.map(({ properties }) => properties['mqtt-retain'] === 'true')).toEqual(
        reference.map(({ retain }) => retain),
      )
      expect(pubacksIn(answers, version)).toEqual(
        reference.filter(({ qos }) => qos === 1).map(({ messageId }) => messageId),
      )
    }
  })

  test('damaged streams: never a crash, never a message that the reference parser did not see', async () => {
    const random = seededRandom(seed + 2).below
    for (const endAtMs = Date.now() + (seconds * 1000) / 2; Date.now() < endAtMs; ) {
      const version = random(2) === 0 ? 4 : 5
      const bytes = stream(random, version)
      for (let i = random(4); i >= 0; i--) bytes[random(bytes.length)] = random(256)
      const reference = referencePublishes(bytes, version).map(bodyOf)
      const { envelopes } = await edgeEnvelopes(bytes, cutsOf(random, bytes.length))
      const got = bodies(envelopes).slice(0, Math.max(reference.length, 1))
      // A damaged CONNECT may carry a will, which is published when the stream fails.
      const wills = envelopes.filter(({ properties }) => properties['iothub-MessageType'] === 'Will').length
      const messages = got.slice(0, envelopes.length - wills)
      // Of MQTT 5.0 a message between them may have been refused.
      let seen = 0
      for (const message of messages) {
        const at = reference.indexOf(message, seen)
        expect(at, message).toBeGreaterThanOrEqual(seen)
        seen = at + 1
      }
    }
  })
})
