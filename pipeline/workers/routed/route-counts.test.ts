import { beforeEach, describe, expect, test } from 'vitest'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { RouteSet } from '#pipeline/routing/select/route-set.ts'
import { Selector } from '#pipeline/routing/select/selector.ts'
import type { Logger } from '#runtime/logger.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { RouteCounts } from './route-counts.ts'

describe('what routes make of messages', () => {
  const clock = virtualClock(1_000_000)
  const place = (offset: number, epoch = 1, sequence = offset) => ({
    topic: 't',
    partition: 0,
    offset,
    stamp: { edgeId: 'edge-1', epoch, sequence },
  })
  let counts: RouteCounts
  let said: unknown[]
  let routeSet: RouteSet

  beforeEach(() => {
    said = []
    const logger: Logger = { ...silentLogger, info: (message, fields) => void said.push([message, fields]) }
    counts = new RouteCounts({ logger, clock, interpreted: false })
    const route = (name: string, condition: string, endpoint = 'e') =>
      ({ name, source: 'DeviceMessages', condition, endpointNames: [endpoint], isEnabled: true }) as const
    const read = RouteSet.read('1', {
      routes: [route('all', 'true', 'x'), route('high', "level = 'high'"), route('warm', '$body.t > 30')],
    })
    if (!(read instanceof RouteSet)) throw new Error('the conditions are right')
    routeSet = read
  })

  /** A record with a message for each level. */
  async function selected(...levels: readonly string[]) {
    const value = batchFromMessages(
      levels.map((level) => ({
        bytes: envelopeBytes({
          deviceId: 'd',
          enqueuedAtMs: 1,
          body: Buffer.from('{"t":50}'),
          properties: level === '' ? {} : { level },
          systemProperties: {},
        }),
      })),
    )
    const selector = new Selector({ routeSet, reader: new BlockReader(), hubName: 'h' })
    return await selector.select(value, 'telemetry')
  }

  const value = (name: string, labels: string) =>
    counts.samples().find(([other, text]) => other === name && text === labels)?.[2]

  test('are counted by route, and a record once, whoever reads it and when', async () => {
    const [first, second] = [await selected('high', 'low', ''), await selected('high')]
    for (const [offset, selection] of [
      [7, first],
      [8, second],
      [7, first],
      [8, second],
    ] as const)
      counts.count(place(offset), selection, routeSet)
    counts.count({ ...place(0), partition: 1 }, second, routeSet)
    expect(value('penstock_route_messages_matched_total', 'route="all"')).toBe(5)
    expect(value('penstock_route_messages_matched_total', 'route="high"')).toBe(3)
    expect(value('penstock_route_messages_undefined_total', 'route="high"')).toBe(1)
    expect(value('penstock_route_messages_undefined_total', 'route="warm"')).toBe(5)
  })

  test('of a log that was made anew are counted from its start, and what an edge repeats there of the old one is not', async () => {
    const selection = await selected('high')
    const count = (...at: Parameters<typeof place>) => counts.count(place(...at), selection, routeSet)
    for (const offset of [100, 101]) count(offset)
    // Repeated, since the old log did not confirm it in time.
    count(0, 1, 101)
    count(1, 1, 102)
    // A slow endpoint, and an edge that started again.
    count(1, 1, 102)
    count(2, 2, 0)
    expect(value('penstock_route_messages_matched_total', 'route="high"')).toBe(4)
  })

  test('of an edge that starts again with its clock set back are counted', async () => {
    const selection = await selected('high')
    counts.count(place(7, 5), selection, routeSet)
    counts.count(place(8, 4, 0), selection, routeSet)
    counts.count(place(9, 4, 1), selection, routeSet)
    counts.count({ ...place(3), stamp: { edgeId: 'edge-2', epoch: 3, sequence: 0 } }, selection, routeSet)
    expect(value('penstock_route_messages_matched_total', 'route="high"')).toBe(3)
  })

  test('of an edge are known as repeated until as many others came as are kept, also where it goes on meanwhile', async () => {
    const selection = await selected('high')
    let offset = 0
    const count = (edgeId: string, sequence: number) =>
      counts.count({ ...place(offset++), stamp: { edgeId, epoch: 1, sequence } }, selection, routeSet)
    const counted = () => value('penstock_route_messages_matched_total', 'route="high"')
    const others = (name: string, howMany: number) => {
      for (let index = 0; index < howMany; index++) count(`${name}-${index}`, 0)
    }
    count('quiet', 0)
    count('busy', 0)
    others('early', limits.countedEdgesMax - 3)
    count('busy', 1)
    others('middle', 1)
    const before = counted()
    // All of them are known: nobody is forgotten before there is need.
    for (const edgeId of ['quiet', 'early-0', 'middle-0']) count(edgeId, 0)
    count('busy', 1)
    expect(counted()).toBe(before)
    others('late', limits.countedEdgesMax - 2)
    expect(counted()).toBe((before ?? 0) + limits.countedEdgesMax - 2)
    // Who was counted last is known still, and who was longest ago is not: an append that it repeats now counts twice, and what follows once.
    count('busy', 1)
    expect(counted()).toBe((before ?? 0) + limits.countedEdgesMax - 2)
    count('quiet', 0)
    count('quiet', 1)
    expect(counted()).toBe((before ?? 0) + limits.countedEdgesMax)
  })

  test('of each 64th record one route is looked at: what it costs, and why it is undefined', async () => {
    const selection = await selected(...Array(100).fill(''))
    for (let offset = 0; offset < 3 * 64; offset++) counts.count(place(offset), selection, routeSet)
    for (const route of ['high', 'warm'])
      expect(value('penstock_route_cpu_seconds_total', `route="${route}"`)).toBeGreaterThan(0)
    expect(value('penstock_route_cpu_seconds_total', 'route="all"')).toBe(0)
    expect(value('penstock_route_undefined_sampled_total', 'route="high",reason="property-absent"')).toBeGreaterThan(0)
    expect(value('penstock_route_undefined_sampled_total', 'route="warm",reason="content-type"')).toBeGreaterThan(0)
  })

  test('a route that is undefined is spoken of once a minute, with the reasons', async () => {
    const selection = await selected('', 'high')
    for (let offset = 0; offset < 5; offset++) counts.count(place(offset), selection, routeSet)
    const line = (route: string, messages: number, reasons: string) => [
      'a route is undefined of messages',
      { operation: 'UndefinedRouteEvaluation', route, messages, reasons },
    ]
    expect(said).toEqual([line('high', 1, 'property-absent'), line('warm', 2, 'content-type')])
    clock.after(60_000, () => {})
    clock.step()
    counts.count(place(5), selection, routeSet)
    expect(said.slice(2)).toEqual([line('high', 5, 'property-absent'), line('warm', 10, 'content-type')])
  })
})
