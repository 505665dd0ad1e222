import { describe, expect, test } from 'vitest'
import { twinNodeAt } from '#pipeline/routing/condition/message-facts.ts'
import { BlockCompressor } from '#runtime/block-compressor.ts'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { type Envelope, envelopesOfBatch } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import {
  batchOfBlocks,
  FakeTwins,
  message,
  randomEnvelope,
  randomRoutes,
  randomSenders,
  randomTwin,
  referenceOf,
  routeSetOf,
  senderOf,
  type TwinOf,
} from './batches-fixture.ts'
import { BlockReader } from './block-reader.ts'
import { Enricher } from './enrichment.ts'
import { envelopesIn } from './envelope-reading.ts'
import { eventMessageOf } from './event-message.ts'
import { plainSelected } from './plain-selected.ts'
import type { RouteSet } from './route-set.ts'
import { batchOf, SelectedEncoder } from './selected-bytes.ts'
import { selectedMessages } from './selected-messages.ts'
import type { Selection } from './selection.ts'
import { type RecordKind, Selector } from './selector.ts'
import { SenderTwins } from './sender-twins.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const random = seededRandom(seed)
const reader = new BlockReader()
const encoder = new SelectedEncoder({ compressor: new BlockCompressor() })
const hubName = 'hub'

/** Endpoints of each message, and per route how many matched and were undefined. */
interface Outcome {
  readonly endpoints: string[][]
  readonly tally: Record<string, readonly [matched: number, undefined: number]>
}

function expectedOf(
  envelopes: readonly Envelope[],
  kind: RecordKind,
  routes: Parameters<typeof referenceOf>[0],
  twinOf: TwinOf,
): Outcome {
  const tally: Record<string, [number, number]> = {}
  const endpoints = envelopes.map((stored) => {
    const routed =
      kind === 'telemetry' ? ({ source: 'DeviceMessages', envelope: stored } as const) : eventMessageOf(stored, hubName)
    if (routed === undefined) return []
    const reference = referenceOf(routes, routed.source, routed.envelope, twinOf)
    for (const [name, verdict] of reference.verdicts) {
      tally[name] ??= [0, 0]
      if (verdict === true) tally[name][0]++
      else if (verdict === undefined) tally[name][1]++
    }
    return reference.endpoints
  })
  return { endpoints, tally }
}

function foundIn(selection: Selection, { endpoints, names }: RouteSet): Outcome {
  const found = Array.from({ length: selection.messageCount }, (): string[] => [])
  for (const [index, name] of endpoints.entries()) {
    if (selection.blocks === undefined) {
      if (selection.of(index) === 'all') for (const list of found) list.push(name)
      continue
    }
    for (const block of selection.blocks) {
      selection.runs(block, index, (first, end) => {
        for (let message = first; message < end; message++) found[block.firstIndex + message]?.push(name)
      })
    }
  }
  const tally: Record<string, [number, number]> = {}
  for (const [index, name] of names.entries()) {
    tally[name] = [selection.tally.matched[index] ?? 0, selection.tally.undefined[index] ?? 0]
  }
  return { endpoints: found.map((list) => list.sort()), tally }
}

const one = <T>(choices: readonly T[]): T => choices[random.below(choices.length)] as T

const randomEvent = (random: SeededRandom): Envelope => {
  const event = ['created', 'updated', 'deleted', 'connected', 'disconnected'][random.below(5)] as string
  return message({
    deviceId: `press-${random.below(3)}`,
    properties: { event, sequence: random.below(20).toString(16).padStart(16, '0') },
    systemProperties: random.chance(0.3) ? { moduleId: 'm1' } : {},
  })
}

describe(`selection, SEED=${seed}`, () => {
  test('of random records and routes finds what asking each route about each decoded message finds', async () => {
    const met = { all: 0, some: 0, none: 0 }
    for (let round = 0; round < 120; round++) {
      const routes = randomRoutes(random, random.chance(0.2) ? 60 : 5)
      const routeSet = routeSetOf(routes, { interpreted: random.chance(0.3) })
      const twins = new FakeTwins()
      // Some know hardly any, some forget at once.
      const options = { reader: twins, clock: virtualClock(), ageMsMax: 1_000, bytesMax: one([0, 600, 1e6]) }
      const senderTwins = new SenderTwins(options)
      const selector = new Selector({ routeSet, reader, hubName, twins: senderTwins })
      for (let record = 0; record < 3; record++) {
        const kind: RecordKind = random.chance(0.7) ? 'telemetry' : 'events'
        const envelope = kind === 'telemetry' ? randomEnvelope : randomEvent
        const blocks = Array.from({ length: random.integer(1, 3) }, () =>
          Array.from({ length: random.integer(1, 20) }, () => envelope(random)),
        )
        const value = batchOfBlocks(blocks)
        for (const sender of randomSenders) {
          if (!random.chance(0.4)) continue
          twins.twins.set(sender, randomTwin(random))
          senderTwins.changed(sender, undefined)
        }
        const selection = await selector.select(value, kind)
        const expected = expectedOf(blocks.flat(), kind, routes, (sender) => twins.twins.get(sender))
        const found = foundIn(selection, routeSet)
        const hint = `SEED=${seed} ${kind} ${JSON.stringify(routes)}`
        expect(found.endpoints, hint).toEqual(expected.endpoints)
        // Where no message was looked at, routes that could add nothing were not asked.
        if (selection.blocks !== undefined)
          for (const [name, counts] of Object.entries(expected.tally)) expect(found.tally[name], hint).toEqual(counts)
        for (const index of routeSet.endpoints.keys()) met[selection.of(index)]++
        await expectHandedOn(value, selection, routeSet, blocks.flat(), expected, kind)
      }
    }
    expect(Math.min(...Object.values(met))).toBeGreaterThan(50)
  })

  /** What an endpoint gets as bytes and as objects is what was selected. */
  async function expectHandedOn(
    value: Buffer,
    selection: Selection,
    routeSet: RouteSet,
    envelopes: readonly Envelope[],
    expected: Outcome,
    kind: RecordKind,
  ): Promise<void> {
    for (const [index, name] of routeSet.endpoints.entries()) {
      const isExpected = expected.endpoints.map((names) => names.includes(name))
      expect(selection.countOf(index)).toBe(isExpected.filter(Boolean).length)
      if (selection.of(index) === 'none') continue
      const messages = envelopes
        .filter((_, message) => isExpected[message])
        .map((stored) => (kind === 'telemetry' ? stored : (eventMessageOf(stored, hubName)?.envelope as Envelope)))
        .map(({ body, ...others }) => ({ ...others, body: Buffer.from(body).toString('latin1') }))
      const selected = await encoder.encode(value, selection, index)
      const encoded = envelopesOfBatch(batchOf(selected))
      expect(selected.messageCount).toBe(messages.length)
      expect(encoded.map(({ body, ...others }) => ({ ...others, body: Buffer.from(body).toString('latin1') }))).toEqual(
        messages,
      )
      if (selection.blocks === undefined) continue
      const { blocks, indexes } = plainSelected(selection, index, undefined)
      expect([...indexes]).toEqual(isExpected.flatMap((is, message) => (is ? [message] : [])))
      expect(
        blocks
          .flatMap((block) => [...envelopesIn(block)])
          .map(({ body, ...others }) => ({ ...others, body: Buffer.from(body).toString('latin1') })),
      ).toEqual(messages)
      const decoded = [...selectedMessages(selection, index)]
      expect(decoded.map(({ index }) => index)).toEqual(isExpected.flatMap((is, message) => (is ? [message] : [])))
      expect(
        decoded.map(({ index, isTooLarge, body, ...others }) => ({
          ...others,
          body: Buffer.from(body).toString('latin1'),
        })),
      ).toEqual(messages)
    }
  }

  test('with stamps gives the same messages with the stamped properties, whatever they had', async () => {
    const enrichments = [
      { key: 'level', value: 'none' },
      { key: 'hub', value: '$iothubname' },
      { key: 'level', value: 'stamped' },
      { key: 'tag', value: '$twin.tags.site' },
    ]
    const enricher = new Enricher(enrichments, hubName)
    const stamping = new SelectedEncoder({ compressor: new BlockCompressor(), enricher })
    const routes = [
      {
        name: 'r',
        source: 'DeviceMessages',
        endpointNames: ['e'],
        isEnabled: true,
        condition: '$body.temperature > 30',
      },
    ] as const
    for (const condition of ['true', '$body.temperature > 30']) {
      const routeSet = routeSetOf({ routes: [{ ...routes[0], condition }] }, { decodedEndpoints: new Set(['e']) })
      const twins = new FakeTwins()
      for (const sender of randomSenders.slice(1)) twins.twins.set(sender, randomTwin(random))
      const senderTwins = new SenderTwins({ reader: twins, clock: virtualClock(), ageMsMax: 1_000 })
      for (const path of enricher.twinPaths) senderTwins.indexOf(path)
      const selector = new Selector({ routeSet, reader, hubName, twins: senderTwins, twinStampedEndpoints: ['e'] })
      const plain = Array.from({ length: 200 }, () => randomEnvelope(random))
      const value = batchOfBlocks([plain.slice(0, 90), plain.slice(90)])
      const selection = await selector.select(value, 'telemetry')
      const stamps = { level: 'stamped', hub: hubName }
      const expected = [...selectedMessages(selection, 0)].map((envelope) => {
        const site = twinNodeAt(twins.twins.get(senderOf(envelope)), ['tags', 'site'])
        const tag = site === undefined ? '$twin.tags.site' : String(site)
        const { properties, systemProperties } = envelope
        return { properties: { ...properties, ...stamps, tag }, systemProperties }
      })
      const found = envelopesOfBatch(batchOf(await stamping.encode(value, selection, 0)))
      expect(found.map(({ properties, systemProperties }) => ({ properties, systemProperties }))).toEqual(expected)
      expect([...selectedMessages(selection, 0, enricher)].map(({ properties }) => properties)).toEqual(
        expected.map(({ properties }) => properties),
      )
    }
  })

  test('of damaged records is refused with a reason, or is one of messages that can be decoded', async () => {
    const routeSet = routeSetOf({
      routes: [
        {
          name: 'r',
          source: 'DeviceMessages',
          condition: "level = 'critical' OR $body.temperature > 30",
          endpointNames: ['e'],
          isEnabled: true,
        },
      ],
    })
    const selector = new Selector({ routeSet, reader, hubName })
    const value = batchOfBlocks([
      [message(), message({ systemProperties: { contentType: 'application/json' } })],
      [randomEnvelope(random)],
    ])
    let refused = 0
    for (let round = 0; round < 5_000; round++) {
      const damaged = Buffer.from(value)
      for (let change = random.below(3); change >= 0; change--)
        damaged[random.below(damaged.length)] = random.below(256)
      try {
        const selection = await selector.select(damaged, 'telemetry')
        if (selection.of(0) === 'some') await encoder.encode(damaged, selection, 0)
        expect(envelopesOfBatch(damaged)).toHaveLength(selection.messageCount)
      } catch (error) {
        if (!isPenstockError(error) || error.code !== 'BATCH_CORRUPT') throw error
        refused++
      }
    }
    expect(refused).toBeGreaterThan(1_000)
  })
})
