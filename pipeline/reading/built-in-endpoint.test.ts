import { describe, expect, test } from 'vitest'
import { MemoryLog } from '#pipeline/log/memory/memory-log.ts'
import { batchOfBlocks, FakeTwins, message } from '#pipeline/routing/select/batches-fixture.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { envelopesIn } from '#pipeline/routing/select/envelope-reading.ts'
import { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import type { Envelope } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import type { LogTopicName } from '#schemas/log-topics.ts'
import {
  emptyRouting,
  type FallbackRouteDocument,
  type RouteDocument,
  type RoutingDocument,
} from '#schemas/routing/routing.ts'
import { BuiltInEndpoint } from './built-in-endpoint.ts'
import { LazyHubs } from './lazy-hubs.ts'
import type { ShownMessages } from './show-record.ts'

const route = (fields: Partial<RouteDocument>): RouteDocument => ({
  name: 'r',
  source: 'DeviceMessages',
  condition: 'true',
  endpointNames: ['events'],
  isEnabled: true,
  ...fields,
})
const fallbackRoute: FallbackRouteDocument = {
  name: '$fallback',
  condition: 'true',
  endpointNames: ['events'],
  isEnabled: true,
}
const documentOf = (fields: Partial<RoutingDocument>): RoutingDocument => ({ ...emptyRouting, ...fields })

/** Blocks that were decompressed are counted. */
class CountingReader extends BlockReader {
  blocks = 0

  override read(...[value, blocks]: Parameters<BlockReader['read']>): Promise<Buffer[]> {
    this.blocks += blocks.length
    return super.read(value, blocks)
  }
}

function builtIn(document?: RoutingDocument) {
  const [reader, stored, clock] = [new CountingReader(), new FakeTwins(), virtualClock()]
  const twins = new SenderTwins({ reader: stored, clock, ageMsMax: 1_000 })
  let begun = 0
  const begin = async () => void begun++
  const endpoint = new BuiltInEndpoint({ hubName: 'hub', reader, interpreted: false, twins, begin })
  if (document !== undefined) endpoint.apply(7, document)
  return { endpoint, reader, stored, begun: () => begun }
}

const device = (level: string, fields: Partial<Envelope> = {}) => message({ properties: { level }, ...fields })
const high = [device('high'), device('low'), device('high')]
/** Two blocks, of which the second is all low. */
const record = batchOfBlocks([high, [device('low'), device('low')]])

const envelopes = ({ blocks }: ShownMessages): Envelope[] => blocks.flatMap((block) => [...envelopesIn(block)])

/** By the index of each message: a property of it. */
function shownIn(shown: ShownMessages, property = 'level'): [number, string | undefined][] {
  const all = envelopes(shown)
  expect(shown.indexes?.length ?? all.length).toBe(all.length)
  return all.map(({ properties }, place) => [shown.indexes?.[place] ?? place, properties[property]])
}

async function levels(document: RoutingDocument, kind: LogTopicName & ('telemetry' | 'twin-events') = 'telemetry') {
  return shownIn(await builtIn(document).endpoint.view(kind).show(record))
}

const elsewhere = route({ name: 'e', condition: "level = 'high'", endpointNames: ['alerts'] })
const all = [0, 1, 2, 3, 4].map((index) => [index, index === 0 || index === 2 ? 'high' : 'low'])

describe('the built-in endpoint shows', () => {
  test.each([
    ['what a route sends there', { routes: [route({ condition: "level = 'high'" })] }, [all[0], all[2]]],
    [
      'a message once that several routes send there',
      { routes: [route({ condition: "level = 'high'" }), route({ name: 'b', condition: "level <> 'none'" })] },
      all,
    ],
    [
      'by the fallback what no route took, not even to elsewhere',
      { routes: [elsewhere], fallbackRoute },
      [all[1], all[3], all[4]],
    ],
    [
      'by the fallback what a route would have taken that is off',
      { routes: [{ ...elsewhere, isEnabled: false }], fallbackRoute },
      all,
    ],
    [
      'only of the fallback what its condition takes',
      { fallbackRoute: { ...fallbackRoute, condition: "level='low'" } },
      [all[1], all[3], all[4]],
    ],
    ['nothing where the fallback is off', { fallbackRoute: { ...fallbackRoute, isEnabled: false } }, []],
    ['nothing where the fallback leads elsewhere', { fallbackRoute: { ...fallbackRoute, endpointNames: ['a'] } }, []],
    ['nothing of a document that is empty', {}, []],
    ['all of a fallback alone', { fallbackRoute }, all],
    [
      'all, though a route that takes all leads elsewhere, too',
      { routes: [route({ endpointNames: ['a', 'events'] })] },
      all,
    ],
    [
      'nothing of the fallback beside a route that takes all',
      { routes: [route({ endpointNames: ['a'] })], fallbackRoute },
      [],
    ],
  ] as const)('%s', async (_name, document, expected) => {
    expect(await levels(documentOf(document as Partial<RoutingDocument>))).toEqual(expected)
  })

  test('before anybody wrote routes, messages of devices and nothing else, as a hub does', async () => {
    const { endpoint } = builtIn()
    endpoint.apply(0, emptyRouting)
    expect(shownIn(await endpoint.view('telemetry').show(record))).toEqual(all)
    expect(envelopes(await endpoint.view('twin-events').show(record))).toEqual([])
    const events = batchOfBlocks([[message({ properties: { event: 'connected', sequence: 'a1' } })]])
    expect(envelopes(await endpoint.view('events').show(events))).toEqual([])
  })

  test('events about devices, as the hub tells them, of those sources that a route has', async () => {
    const event = (name: string) => message({ properties: { event: name, sequence: 'a1' } })
    const events = batchOfBlocks([['connected', 'updated', 'deleted', 'disconnected'].map(event)])
    const { endpoint } = builtIn(documentOf({ routes: [route({ source: 'DeviceConnectionStateEvents' })] }))
    const shown = await endpoint.view('events').show(events)
    expect(shownIn(shown, 'opType')).toEqual([
      [0, 'deviceConnected'],
      [3, 'deviceDisconnected'],
    ])
    expect(String(envelopes(shown)[0]?.body)).toContain('0A1"}')
  })

  test('changes of twins that a route of theirs takes; the fallback takes none', async () => {
    const routes = [route({ source: 'TwinChangeEvents', condition: "level = 'high'" })]
    expect(await levels(documentOf({ routes, fallbackRoute }), 'twin-events')).toEqual([all[0], all[2]])
  })

  test('each message stamped; one that this makes too large without the stamps', async () => {
    const enrichments = [
      { key: 'hub', value: '$iothubname', endpointNames: ['events'] },
      { key: 'other', value: 'x', endpointNames: ['alerts'] },
    ]
    const { endpoint } = builtIn(documentOf({ routes: [route({})], enrichments }))
    const large = message({ body: Buffer.alloc(limits.bodyBytesMax) })
    const shown = await endpoint.view('telemetry').show(batchOfBlocks([[device('a'), large, device('b')]]))
    expect(shownIn(shown, 'hub')).toEqual([
      [0, 'hub'],
      [1, undefined],
      [2, 'hub'],
    ])
    expect(envelopes(shown)[0]?.properties).toEqual({ level: 'a', hub: 'hub' })
  })

  test('what a condition and a stamp ask of twins, and waits where they are not known', async () => {
    const { endpoint, stored } = builtIn(
      documentOf({
        routes: [route({ condition: "$twin.tags.hall = 'a'" })],
        enrichments: [{ key: 'line', value: '$twin.tags.line', endpointNames: ['events'] }],
      }),
    )
    stored.twins.set('d1', { tags: { hall: 'a', line: 7 } })
    stored.isAway = true
    const view = endpoint.view('telemetry')
    const value = batchOfBlocks([[device('x', { deviceId: 'd1' }), device('y', { deviceId: 'd2' })]])
    await expect(view.show(value)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', disposition: 'retry' })
    stored.isAway = false
    expect(shownIn(await view.show(value), 'line')).toEqual([[0, '7']])
  })
})

describe('what it costs', () => {
  test('of a record that goes elsewhere as a whole nothing is decompressed', async () => {
    const { endpoint, reader } = builtIn(documentOf({ routes: [route({ endpointNames: ['alerts'] })] }))
    await endpoint.view('telemetry').show(record)
    expect(reader.blocks).toBe(0)
  })

  test('a block that goes there whole is shown as it is; of others only what goes there is kept', async () => {
    const { endpoint } = builtIn(documentOf({ routes: [route({ condition: "level = 'low'" })] }))
    const { blocks } = await endpoint.view('telemetry').show(record)
    expect(blocks.map(({ length }) => length)).toEqual([1, 2].map((count) => count * (blocks[0]?.length ?? 0)))
    expect(blocks.map(({ buffer }) => buffer.byteLength).every((bytes) => bytes < limits.blockBytesMax)).toBe(true)
  })

  test('a twin is asked for by no route that makes no difference', async () => {
    const asking = route({ name: 't', condition: "$twin.tags.a = 'b'", endpointNames: ['alerts'] })
    const { endpoint, stored } = builtIn(documentOf({ routes: [asking, route({ condition: "level = 'high'" })] }))
    await endpoint.view('telemetry').show(record)
    expect(stored.asked).toEqual([])
  })
})

describe('a document', () => {
  test('that is not known yet shows nothing, and is asked for', async () => {
    const { endpoint, begun } = builtIn()
    await expect(endpoint.view('telemetry').show(record)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect([begun(), endpoint.revision]).toEqual([1, -1])
  })

  test('that cannot be read leaves the one before in force', async () => {
    const { endpoint } = builtIn(documentOf({ fallbackRoute }))
    const broken = documentOf({ routes: [route({ condition: 'AND' })] })
    expect(() => endpoint.apply(8, broken)).toThrow('conditions that cannot be read: r')
    expect(endpoint.revision).toBe(7)
    expect(shownIn(await endpoint.view('telemetry').show(record))).toEqual(all)
  })

  test('holds for all that is shown from then on, also of what was on the shelf', async () => {
    const { endpoint } = builtIn(documentOf({ fallbackRoute }))
    const log = new MemoryLog({ topic: 'penstock.telemetry' })
    const stamp = { edgeId: 'e', epoch: 1, sequence: 1, messageCount: 5, enqueuedAtMsFirst: 0, enqueuedAtMsLast: 0 }
    await log.append(0, { schemaVersion: 1, ...stamp }, record)
    const sources = { telemetry: { log, view: endpoint.view('telemetry') } }
    const hubs = new LazyHubs({ sources, clock: virtualClock(), logger: silentLogger })
    const hub = await hubs.hub('telemetry')
    const first = await hub.recordAt(0, 0)
    expect(await hub.recordAt(0, 0)).toBe(first)
    endpoint.apply(8, documentOf({ routes: [elsewhere], fallbackRoute }))
    const second = await hub.recordAt(0, 0)
    expect(second && shownIn(second).map(([index]) => index)).toEqual([1, 3, 4])
    expect(second?.edition).not.toBe(first?.edition)
    await hubs.close()
    await log.close()
  })
})
