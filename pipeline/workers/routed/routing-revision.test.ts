import { expect, test } from 'vitest'
import { FakeTwins } from '#pipeline/routing/select/batches-fixture.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { type EndpointDocument, emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import { RouteCounts } from './route-counts.ts'
import { RoutingRevision } from './routing-revision.ts'

const endpoint = (name: string, changes: Partial<EndpointDocument> = {}): EndpointDocument => ({
  name,
  kind: 'clickhouse',
  from: 'oldest',
  generation: 1,
  startsAtMs: 0,
  whenBehind: 'expire',
  isEnabled: true,
  settings: {},
  ...changes,
})

const route = (name: string, condition: string, ...endpointNames: string[]) => ({
  name,
  source: 'DeviceMessages' as const,
  condition,
  endpointNames,
  isEnabled: true,
})

/** Counts how often records are decompressed. */
class WatchedReader extends BlockReader {
  reads = 0
  override read(...args: Parameters<BlockReader['read']>): ReturnType<BlockReader['read']> {
    this.reads++
    return super.read(...args)
  }
}

const record = batchFromMessages(
  ['high', 'low'].map((level) => {
    const message = { deviceId: 'd', enqueuedAtMs: 1, body: Buffer.from('{}'), properties: { level } }
    return { bytes: envelopeBytes({ ...message, systemProperties: {} }) }
  }),
)

function opened(document: Partial<RoutingDocument>) {
  const reader = new WatchedReader()
  const away = new FakeTwins()
  away.isAway = true
  const twins = new SenderTwins({ reader: away, clock: virtualClock(1_000_000), ageMsMax: 60_000 })
  const options = { hubName: 'h', reader, interpreted: false, twins }
  const revision = new RoutingRevision(1, { ...emptyRouting, ...document }, options)
  const counts = new RouteCounts({ logger: silentLogger, clock: virtualClock(1_000_000), interpreted: false })
  /** How many messages of the record go to the endpoint, and whether it had to be decompressed. */
  const selected = async (name: string) => {
    const { routeSet, selector } = revision.routesFor(name)
    const before = reader.reads
    const selection = await selector.select(record, 'telemetry')
    counts.count(
      { topic: 't', partition: 0, offset: 0, stamp: { edgeId: 'e', epoch: 1, sequence: 0 } },
      selection,
      routeSet,
    )
    return { count: selection.countOf(revision.indexOf(name)), isRead: reader.reads > before }
  }
  const matched = () => {
    const found = counts.samples().filter(([name]) => name === 'penstock_route_messages_matched_total')
    return Object.fromEntries(found.map(([, labels, value]) => [labels.slice('route="'.length, -1), value]))
  }
  return { selected, matched }
}

test('an endpoint that gets every message is given whole records, though others have to look into them [G-10]', async () => {
  const { selected, matched } = opened({
    routes: [route('all', 'true', 'whole', 'read'), route('high', "level = 'high'", 'some', 'whole')],
    endpoints: [endpoint('whole'), endpoint('some'), endpoint('read', { kind: 'webhook' })],
  })
  expect(await selected('whole')).toEqual({ count: 2, isRead: false })
  expect(await selected('some')).toEqual({ count: 1, isRead: true })
  expect(await selected('read')).toEqual({ count: 2, isRead: true })
  expect(matched()).toEqual({ all: 2, high: 1 })
})

test('a route that takes everything leaves nothing to the fallback of other endpoints', async () => {
  const { selected, matched } = opened({
    routes: [route('all', 'true', 'whole'), route('high', "level = 'high'", 'some')],
    fallbackRoute: { name: '$fallback', condition: 'true', endpointNames: ['rest'], isEnabled: true },
    endpoints: ['whole', 'some', 'rest'].map((name) => endpoint(name)),
  })
  expect((await selected('rest')).count).toBe(0)
  expect((await selected('some')).count).toBe(1)
  expect(await selected('whole')).toEqual({ count: 2, isRead: false })
  expect(matched()).toEqual({ all: 2, high: 1, $fallback: 0 })
})

test('an endpoint of the fallback is decided with the routes before it', async () => {
  const { selected, matched } = opened({
    routes: [route('high', "level = 'high'", 'some')],
    fallbackRoute: { name: '$fallback', condition: 'true', endpointNames: ['rest'], isEnabled: true },
    endpoints: ['some', 'rest'].map((name) => endpoint(name)),
  })
  expect(await selected('rest')).toEqual({ count: 1, isRead: true })
  expect(matched()).toEqual({ high: 1, $fallback: 1 })
})

test('a route that asks for twins, to an endpoint that gets everything anyway, is asked for nobody [G-10]', async () => {
  const { selected, matched } = opened({
    routes: [
      route('all', 'true', 'whole'),
      route('site', "$twin.tags.site = 'x'", 'whole'),
      route('high', "level = 'high'", 'some'),
    ],
    endpoints: ['whole', 'some'].map((name) => endpoint(name)),
  })
  expect(await selected('whole')).toEqual({ count: 2, isRead: false })
  expect(await selected('some')).toEqual({ count: 1, isRead: true })
  expect(matched()).toEqual({ all: 2, high: 1 })
})

test('an endpoint that is disabled does not count for the others', async () => {
  const { selected, matched } = opened({
    routes: [route('all', 'true', 'away', 'read')],
    endpoints: [endpoint('away', { isEnabled: false }), endpoint('read', { kind: 'webhook' })],
  })
  expect(await selected('read')).toEqual({ count: 2, isRead: true })
  expect(matched()).toEqual({ all: 2 })
})
