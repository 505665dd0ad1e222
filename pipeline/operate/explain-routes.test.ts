import { describe, expect, test } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { batchOfBlocks, FakeTwins, json, message } from '#pipeline/routing/select/batches-fixture.ts'
import { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { systemClock } from '#runtime/clock.ts'
import { type Envelope, envelopeBytes } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import type { RouteDocument } from '#schemas/routing/routing.ts'
import { type ExplainOptions, explainRoutes } from './explain-routes.ts'

const startMs = 1_790_000_000_000

const route = (name: string, condition: string, changes: Partial<RouteDocument> = {}): RouteDocument => ({
  name,
  source: 'DeviceMessages',
  condition,
  endpointNames: [],
  isEnabled: true,
  ...changes,
})

class Traffic {
  readonly log: MemoryLog
  #sequence = 0

  constructor(partitionCount = 1) {
    this.log = new MemoryLog({ store: new MemoryStore('penstock.telemetry', partitionCount) })
  }

  async append(envelopes: readonly Envelope[], { partition = 0, sequence = this.#sequence++ } = {}): Promise<void> {
    const times = envelopes.map(({ enqueuedAtMs }) => enqueuedAtMs)
    await this.appendBytes(batchOfBlocks([envelopes]), times, { partition, sequence })
  }

  async appendBytes(
    value: Uint8Array,
    times: readonly number[],
    { partition = 0, sequence = this.#sequence++ } = {},
  ): Promise<void> {
    const stamp = {
      schemaVersion: 1,
      edgeId: 'edge',
      epoch: 1,
      sequence,
      messageCount: Math.max(1, times.length),
      enqueuedAtMsFirst: Math.min(...times),
      enqueuedAtMsLast: Math.max(...times),
    }
    await this.log.append(partition, stamp, value)
  }

  explain(routes: readonly RouteDocument[], options: Partial<ExplainOptions> = {}) {
    return explainRoutes({
      log: this.log,
      document: { routes, fallbackRoute: undefined },
      fromMs: 0,
      toMs: undefined,
      deviceId: undefined,
      samplesMax: 0,
      budget: { ms: 60_000, bytes: 1_000_000_000 },
      interpreted: false,
      clock: systemClock,
      ...options,
    })
  }
}

const withBody = (
  body: string,
  systemProperties: Envelope['systemProperties'] = json,
  fields: Partial<Envelope> = {},
) => message({ body: Buffer.from(body), systemProperties, ...fields })

/** `verdict` or `reason`, and how many. */
const countsOf = ({ outcomes }: Awaited<ReturnType<typeof explainRoutes>>['routes'][number]) =>
  Object.fromEntries(outcomes.map(({ verdict, reason, messages }) => [reason ?? verdict, messages]))

describe('what routes make of the log', () => {
  test('is asked with the twins of senders as they are now; one that cannot be read is not guessed', async () => {
    const traffic = new Traffic()
    const known = new FakeTwins()
    known.twins.set('press-1', { tags: { Site: 'x' } })
    known.twins.set('press-1/m', { tags: { site: 'y' } })
    const twins = new SenderTwins({ reader: known, clock: systemClock, ageMsMax: 60_000 })
    await traffic.append([message(), message({ systemProperties: { moduleId: 'm' } }), message({ deviceId: 'other' })])
    const routes = [route('site', "$twin.tags.site = 'x'"), route('plain', "level = 'high'")]
    const explained = await traffic.explain(routes, { twins, samplesMax: 1 })
    expect(countsOf(explained.routes[0]!)).toEqual({ true: 1, false: 2 })
    expect(explained.routes[0]!.outcomes[0]?.samples[0]?.steps[0]).toMatchObject({ value: '"x"' })
    expect(known.asked).toEqual([['press-1', 'press-1/m', 'other']])
    known.isAway = true
    const fresh = new SenderTwins({ reader: known, clock: systemClock, ageMsMax: 60_000 })
    await expect(traffic.explain(routes, { twins: fresh })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await traffic.explain([route('plain', "level = 'high'")], { twins: fresh })
  })

  test.each([{ interpreted: false }, { interpreted: true }])(
    'is counted by verdict, and where it is undefined by reason: %o',
    async (options) => {
      const traffic = new Traffic()
      const level = { properties: { level: 'high' } }
      await traffic.append([
        withBody('{"temperature":31}', json, level),
        withBody('{"temperature":12}', json, level),
        withBody('{"temperature":12}', json, level),
        withBody('{"temperature":31}', json),
        withBody('{"temperature":31}', { contentType: 'text/plain' }, level),
        withBody('{"temperature":31}', {}, level),
      ])
      await traffic.append([
        withBody('{"temperature":31}', { contentType: 'application/json' }, level),
        withBody('temperature 31', json, level),
        withBody('{"Temperature":31}', json, level),
        withBody('{"temperature":"31"}', json, level),
        withBody('{"temperature":31}', json, { properties: { LEVEL: 'low' } }),
      ])
      const { routes, read } = await traffic.explain(
        [
          route('hot', "level = 'high' AND $body.temperature > 30"),
          route('level', "level = 'high'"),
          route('value', 'undefined'),
        ],
        options,
      )
      expect(countsOf(routes[0]!)).toEqual({
        true: 1,
        false: 3,
        'content-type': 2,
        'property-absent': 1,
        'content-encoding': 1,
        'not-json': 1,
        'path-absent': 1,
        type: 1,
      })
      expect(routes[0]!.outcomes.map(({ verdict }) => verdict).slice(0, 3)).toEqual(['true', 'false', 'undefined'])
      expect(routes[0]!.outcomes[2]).toMatchObject({ reason: 'content-type', messages: 2 })
      expect(countsOf(routes[1]!)).toEqual({ true: 9, false: 1, 'property-absent': 1 })
      expect(countsOf(routes[2]!)).toEqual({ value: 11 })
      expect(read).toMatchObject({ messages: 11, records: 2, unreadRecords: 0, corruptRecords: 0, silentRecords: 0 })
    },
  )

  test('is counted by endpoint: once a message, with its bytes, and by the fallback where no route took it', async () => {
    const traffic = new Traffic()
    const envelopes = [1, 2, 3].map((temperature) => withBody(`{"temperature":${temperature}}`))
    await traffic.append(envelopes)
    const to = (...endpointNames: string[]) => ({ endpointNames })
    const { endpoints, routes } = await traffic.explain([], {
      document: {
        routes: [
          route('above-1', '$body.temperature > 1', to('archive')),
          route('above-2', '$body.temperature > 2', to('archive', 'alarm')),
          route('off', 'true', { ...to('never'), isEnabled: false }),
          route('life', 'true', { ...to('never'), source: 'DeviceLifecycleEvents' }),
        ],
        fallbackRoute: { name: '$fallback', condition: 'true', isEnabled: true, ...to('rest') },
      },
    })
    const [one = 0, two = 0, three = 0] = envelopes.map((envelope) => envelopeBytes(envelope).length)
    expect(endpoints).toEqual([
      { name: 'archive', messages: 2, bytes: two + three },
      { name: 'alarm', messages: 1, bytes: three },
      { name: 'rest', messages: 1, bytes: one },
    ])
    expect(routes.map(({ name, state }) => [name, state])).toEqual([
      ['above-1', 'asked'],
      ['above-2', 'asked'],
      ['off', 'off'],
      ['life', 'other-source'],
      ['$fallback', 'asked'],
    ])
    expect(routes.slice(2).map(countsOf)).toEqual([{}, {}, { true: 1 }])
  })

  test('is of one device if that is asked for, and then of its partition alone', async () => {
    const traffic = new Traffic(4)
    const home = partitionOfDevice(Buffer.from('press-1'), 4)
    for (let partition = 0; partition < 4; partition++)
      await traffic.append([message({ deviceId: 'press-11' }), message(), message({ deviceId: 'press' })], {
        partition,
      })
    const { read, routes } = await traffic.explain([route('all', 'true')], { deviceId: 'press-1', samplesMax: 9 })
    expect(read).toMatchObject({ records: 1, messages: 1 })
    expect(routes[0]!.outcomes[0]!.samples.map(({ id }) => id)).toEqual([`penstock.telemetry/${home}/0/1`])
    expect((await traffic.explain([route('all', 'true')])).read).toMatchObject({ records: 4, messages: 12 })
  })

  test('is of the messages within the time alone, and nothing behind it is read', async () => {
    const traffic = new Traffic()
    for (let batch = 0; batch < 10; batch++)
      await traffic.append([0, 1].map((second) => message({ enqueuedAtMs: startMs + batch * 2_000 + second * 1_000 })))
    const { read, routes } = await traffic.explain([route('all', 'true')], {
      fromMs: startMs + 5_000,
      toMs: startMs + 9_000,
      samplesMax: 9,
    })
    expect(routes[0]!.outcomes[0]!.samples.map(({ enqueuedAtMs }) => enqueuedAtMs - startMs)).toEqual([
      5_000, 6_000, 7_000, 8_000,
    ])
    expect(read).toMatchObject({ messages: 4, records: 3, unreadRecords: 0, silentRecords: 0 })
    const later = await traffic.explain([route('all', 'true')], { fromMs: startMs + 20_000 })
    expect(later.read).toMatchObject({ messages: 0, records: 0 })
    expect(later.routes[0]).toMatchObject({ outcomes: [], costNs: undefined })
  })

  test('ends where the budget of bytes or of time is spent, of which each partition has its share', async () => {
    const traffic = new Traffic(2)
    for (let batch = 0; batch < 8; batch++) await traffic.append([message()], { partition: batch % 2 })
    const recordBytes = batchOfBlocks([[message()]]).length
    const byBytes = await traffic.explain([route('all', 'true')], {
      budget: { ms: 60_000, bytes: 4 * recordBytes },
      samplesMax: 9,
    })
    expect(byBytes.read).toMatchObject({ records: 4, bytes: 4 * recordBytes, unreadRecords: 4 })
    expect(byBytes.routes[0]!.outcomes[0]!.samples.map(({ id }) => id)).toEqual(
      ['0/0', '0/1', '1/0', '1/1'].map((place) => `penstock.telemetry/${place}/0`),
    )
    // A clock that moves on by one each time it is asked.
    let nowMs = 0
    const clock = { ...systemClock, monotonicMs: () => nowMs++ }
    const byTime = await traffic.explain([route('all', 'true')], { budget: { ms: 7, bytes: 1e9 }, clock })
    expect(byTime.read.unreadRecords).toBeGreaterThan(0)
    expect(byTime.read.records + byTime.read.unreadRecords).toBe(8)
    // One of each is read in any case.
    const least = await traffic.explain([route('all', 'true')], { budget: { ms: 0, bytes: 0 } })
    expect(least.read).toMatchObject({ records: 2, unreadRecords: 6 })
  })

  test('is shown by up to so many messages of each outcome, their bodies and texts cut, with every part of the condition', async () => {
    const traffic = new Traffic()
    const long = 'x'.repeat(limits.explainedTextMax + 1)
    await traffic.append(
      [1, 2, 3, 4].map((temperature) =>
        withBody(`{"temperature":${temperature},"note":"${long}"}`, json, { properties: { long } }),
      ),
    )
    const { routes } = await traffic.explain([route('r', "$body.temperature > 3 AND $body.note <> ''")], {
      samplesMax: 2,
    })
    const [taken, left] = routes[0]!.outcomes
    expect([taken, left].map((outcome) => [outcome!.messages, outcome!.samples.length])).toEqual([
      [1, 1],
      [3, 2],
    ])
    const [sample] = taken!.samples
    expect(sample).toMatchObject({
      id: 'penstock.telemetry/0/0/3',
      deviceId: 'press-1',
      enqueuedAtMs: startMs,
      systemProperties: json,
      properties: { long: long.slice(1) },
    })
    expect(sample!.body).toHaveLength(limits.explainedTextMax)
    expect(sample!.bodyBytes).toBe(`{"temperature":4,"note":"${long}"}`.length)
    expect(sample!.steps.map(({ text, value }) => [text, value])).toEqual([
      ['$body.temperature', '4'],
      ['$body.temperature > 3', 'true'],
      ['$body.note', `"${long.slice(2)}`],
      ["$body.note <> ''", 'true'],
      ["$body.temperature > 3 AND $body.note <> ''", 'true'],
    ])
    const none = await traffic.explain([route('r', '$body.temperature > 3')])
    expect(JSON.stringify(none)).not.toContain('press-1')
  })

  test('costs nothing where no message is looked at, and is measured where one is', async () => {
    const traffic = new Traffic()
    await traffic.append([withBody('{"temperature":31}'), withBody('{"temperature":12}')])
    const { routes, costNs } = await traffic.explain([route('all', 'true'), route('hot', '$body.temperature > 30')])
    expect(routes[0]!.costNs).toBe(0)
    expect(routes[1]!.costNs).toBeGreaterThan(0)
    expect(costNs).toBeGreaterThan(0)
  })

  test('leaves out what an edge appended twice, and counts records that are no batches', async () => {
    const traffic = new Traffic()
    await traffic.append([message()], { sequence: 0 })
    await traffic.append([message()], { sequence: 0 })
    await traffic.appendBytes(Buffer.from('no batch'), [startMs], { sequence: 1 })
    await traffic.append([message()], { sequence: 2 })
    const { read, routes } = await traffic.explain([route('all', 'true')])
    expect(read).toMatchObject({ records: 3, messages: 2, corruptRecords: 1 })
    expect(countsOf(routes[0]!)).toEqual({ true: 2 })
  })

  test('is not said where the log hands out nothing', async () => {
    const traffic = new Traffic()
    for (let batch = 0; batch < 3; batch++) await traffic.append([message()])
    const read = traffic.log.read.bind(traffic.log)
    // The search for the first offset reads as little as it can.
    traffic.log.read = async (partition, offset, bytesMax) =>
      offset === 1 && bytesMax > 1 ? [] : (await read(partition, offset, bytesMax)).slice(0, 1)
    const explained = await traffic.explain([route('all', 'true')])
    expect(explained.read).toMatchObject({ records: 1, silentRecords: 2, unreadRecords: 0 })
  })

  test('is refused of a condition with errors, with their places', async () => {
    const explained = new Traffic().explain([route('wrong', "level = 'high' AND\n($body.x >")])
    await expect(explained).rejects.toMatchObject({
      code: 'ROUTING_INVALID',
      message: expect.stringMatching(/^wrong, line 2 column 10: /),
    })
  })
})
