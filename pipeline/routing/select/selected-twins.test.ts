/** Twins of senders in conditions and in stamps, as a router has them. */
import { describe, expect, test } from 'vitest'
import { cases, messageOf } from '#pipeline/routing/condition/cases-fixture.ts'
import { BlockCompressor } from '#runtime/block-compressor.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { type Envelope, envelopesOfBatch } from '#schemas/batch.ts'
import { batchOfBlocks, FakeTwins, json, message, routeSetOf } from './batches-fixture.ts'
import { BlockReader } from './block-reader.ts'
import { Enricher } from './enrichment.ts'
import { oversizedIn } from './oversized.ts'
import { batchOf, SelectedEncoder } from './selected-bytes.ts'
import { selectedMessages } from './selected-messages.ts'
import { Selector } from './selector.ts'
import { SenderTwins } from './sender-twins.ts'

const reader = new BlockReader()
const twinned = cases.filter(({ id, expect }) => id.startsWith('twin-') && expect !== 'error')

function selecting(
  condition: string,
  enricher?: Enricher,
  source: 'DeviceMessages' | 'TwinChangeEvents' = 'DeviceMessages',
) {
  const fake = new FakeTwins()
  const twins = new SenderTwins({ reader: fake, clock: virtualClock(), ageMsMax: 1_000 })
  const route = { name: 'r', source, condition, endpointNames: ['e'], isEnabled: true }
  const routeSet = routeSetOf({ routes: [route] }, { decodedEndpoints: new Set(enricher ? ['e'] : []) })
  for (const path of enricher?.twinPaths ?? []) twins.indexOf(path)
  const twinStampedEndpoints = enricher ? ['e'] : []
  const selector = new Selector({ routeSet, reader, hubName: 'hub', twins, twinStampedEndpoints })
  return { fake, twins, selector }
}

const ofModule = (moduleId: string): Partial<Envelope> => ({ systemProperties: { moduleId } })

describe('the twin of a sender', () => {
  test('there are cases of them', () => expect(twinned.length).toBeGreaterThan(20))

  test.each(twinned)('$id in the log of a router is as in the language: $why', async (one) => {
    const { body, properties, twin } = messageOf(one.message)
    const source = one.source === 'TwinChangeEvents' ? one.source : 'DeviceMessages'
    const { fake, selector } = selecting(one.condition, undefined, source)
    if (twin !== undefined) fake.twins.set('press-041', twin)
    const envelope = message({
      deviceId: 'press-041',
      body: Buffer.from(body as Uint8Array),
      properties: Object.fromEntries(properties),
      systemProperties: json,
    })
    const value = batchOfBlocks([[envelope]])
    const { tally } = await selector.select(value, source === 'DeviceMessages' ? 'telemetry' : 'twin-events')
    const verdict = tally.matched[0] === 1 ? 'true' : tally.undefined[0] === 1 ? 'undefined' : 'false'
    expect(verdict).toBe(one.expect)
  })

  test('is that of the module where a module sent the message, which has no tags of its device', async () => {
    const { fake, selector } = selecting("$twin.tags.site = 'x'")
    fake.twins.set('press-1', { tags: { site: 'x' } })
    fake.twins.set('press-1/m', { tags: { site: 'y' } })
    fake.twins.set('press-1/n', { tags: { site: 'x' } })
    const value = batchOfBlocks([
      [message(), message(ofModule('m')), message(ofModule('n')), message({ deviceId: 'other' })],
    ])
    const selection = await selector.select(value, 'telemetry')
    expect([...selectedMessages(selection, 0)].map(({ index }) => index)).toEqual([0, 2])
    expect(fake.asked).toEqual([['press-1', 'press-1/m', 'press-1/n', 'other']])
  })

  test('is read once for many records, and only where a condition comes to it', async () => {
    const { fake, selector } = selecting("level = 'critical' AND $twin.tags.site = 'x'")
    const info = message({ properties: { level: 'info' } })
    const value = batchOfBlocks([[info, message({ deviceId: 'a', properties: { level: 'critical' } })]])
    for (let record = 0; record < 3; record++) await selector.select(value, 'telemetry')
    expect(fake.asked).toEqual([['a']])
  })

  test('is asked for by no route that does not name it', async () => {
    const { fake, selector } = selecting('$body.temperature > 20')
    expect((await selector.select(batchOfBlocks([[message()]]), 'telemetry')).twins).toBeUndefined()
    expect(fake.asked).toEqual([])
  })

  test('that cannot be read keeps its record waiting: it is not taken for one that does not match', async () => {
    const { fake, selector } = selecting("$twin.tags.site = 'x'")
    fake.isAway = true
    const value = batchOfBlocks([[message()]])
    await expect(selector.select(value, 'telemetry')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    fake.isAway = false
    fake.twins.set('press-1', { tags: { site: 'x' } })
    expect((await selector.select(value, 'telemetry')).countOf(0)).toBe(1)
  })

  test('stamps messages with what stands at a path, or with the path; numbers and objects as JSON', async () => {
    const paths = [
      '$twin.tags.site',
      '$TWIN.properties.Reported.charge',
      '$twin.properties.desired.place',
      '$twin.tags.none',
    ]
    const enricher = new Enricher(
      paths.map((value, index) => ({ key: `k${index}`, value })),
      'hub',
    )
    const { fake, selector } = selecting('true', enricher)
    const twin = {
      tags: { Site: 'x' },
      properties: { desired: { place: { wing: 'é' } }, reported: { charge: 6.5 } },
    }
    fake.twins.set('press-1', twin)
    const value = batchOfBlocks([
      [message({ properties: { k0: 'own', other: '1' } }), message({ deviceId: 'unknown' })],
    ])
    const selection = await selector.select(value, 'telemetry')
    const encoder = new SelectedEncoder({ compressor: new BlockCompressor(), enricher })
    // What is stamped was decided when the messages were selected.
    fake.twins.clear()
    const stamped = [
      { other: '1', k0: 'x', k1: '6.5', k2: '{"wing":"é"}', k3: '$twin.tags.none' },
      Object.fromEntries(paths.map((path, index) => [`k${index}`, path])),
    ]
    expect(
      envelopesOfBatch(batchOf(await encoder.encode(value, selection, 0))).map(({ properties }) => properties),
    ).toEqual(stamped)
    expect([...selectedMessages(selection, 0, enricher)].map(({ properties }) => properties)).toEqual(stamped)
  })

  test('whose text makes a message too large makes it a letter, and only that message', async () => {
    const enricher = new Enricher([{ key: 'tag', value: '$twin.tags.long' }], 'hub')
    const { fake, selector } = selecting('true', enricher)
    fake.twins.set('long', { tags: { long: 'x'.repeat(4_000) } })
    const body = Buffer.alloc(262_144 - 3_000)
    const value = batchOfBlocks([[message({ deviceId: 'long', body })], [message({ deviceId: 'short', body })]])
    const selection = await selector.select(value, 'telemetry')
    expect(oversizedIn(selection, 0, enricher)).toEqual([0])
    const encoder = new SelectedEncoder({ compressor: new BlockCompressor(), enricher })
    expect((await encoder.encode(value, selection, 0)).tooLarge).toEqual([0])
  })

  test('is stamped on events about it, too', async () => {
    const fake = new FakeTwins()
    fake.twins.set('press-1', { tags: { site: 'x' } })
    const twins = new SenderTwins({ reader: fake, clock: virtualClock(), ageMsMax: 1_000 })
    const routes = [
      {
        name: 'r',
        source: 'DeviceConnectionStateEvents',
        condition: "$twin.tags.site = 'x'",
        endpointNames: ['e'],
        isEnabled: true,
      },
    ] as const
    const selector = new Selector({ routeSet: routeSetOf({ routes }), reader, hubName: 'hub', twins })
    const events = ['press-1', 'press-2'].map((deviceId) =>
      message({ deviceId, properties: { event: 'connected', sequence: '0' } }),
    )
    expect((await selector.select(batchOfBlocks([events]), 'events')).countOf(0)).toBe(1)
  })
})
