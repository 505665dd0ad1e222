import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Endpoint, EndpointRequest, RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import { unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { BatchStamp } from '#pipeline/log/log.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { FakeTwins } from '#pipeline/routing/select/batches-fixture.ts'
import { SelectionTurns } from '#pipeline/routing/select/selection-turns.ts'
import { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { type EndpointDocument, emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import { twinEventEnvelope } from '#schemas/twin-event.ts'
import type { UndeliverableRecord } from '../undeliverable.ts'
import { Router } from './router.ts'
import { followTwinChanges } from './twin-changes.ts'

/** Takes everything, unless it is told to fail. */
class Inbox implements Endpoint {
  readonly atomic = false
  readonly requestMessagesMax = 100
  readonly requestBytesMax = 1_000_000
  readonly requestsAtOnceMax = 2
  readonly requestMsMax = 1_000
  readonly bodies: string[] = []
  readonly properties: Readonly<Record<string, string>>[] = []
  isDown = false
  isClosed = false
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  async deliver({ messages }: EndpointRequest): Promise<RequestOutcome> {
    if (this.isDown) return { kind: 'retry', error: unavailable('down', 'Transient') }
    this.bodies.push(...messages.map(({ body }) => Buffer.from(body).toString()))
    this.properties.push(...messages.map(({ properties }) => properties))
    return { kind: 'delivered' }
  }

  async accepts(): Promise<boolean> {
    return true
  }

  async close(): Promise<void> {
    this.isClosed = true
  }
}

const endpoint = (name: string, changes: Partial<EndpointDocument> = {}): EndpointDocument => ({
  name,
  kind: 'webhook',
  from: 'oldest',
  generation: 1,
  startsAtMs: 0,
  whenBehind: 'expire',
  isEnabled: true,
  settings: { delayMs: 1 },
  ...changes,
})

const route = (name: string, condition: string, ...endpointNames: string[]) => ({
  name,
  source: 'DeviceMessages' as const,
  condition,
  endpointNames,
  isEnabled: true,
})

describe('a router', () => {
  let log: MemoryLog
  let inboxes: Map<string, Inbox[]>
  let letters: UndeliverableRecord[]
  let router: Router
  let sequence: number
  let known: FakeTwins
  let twins: SenderTwins

  beforeEach(() => {
    known = new FakeTwins()
    twins = new SenderTwins({ reader: known, clock: systemClock, ageMsMax: 60_000 })
    log = new MemoryLog({ store: new MemoryStore('penstock.telemetry', 1) })
    inboxes = new Map()
    letters = []
    sequence = 0
    router = new Router({
      logs: [{ kind: 'telemetry', log }],
      topicPrefix: 'penstock',
      hubName: 'hub.example',
      interpreted: false,
      twins,
      turns: new SelectionTurns(),
      open: ({ name }) => {
        const inbox = new Inbox(name)
        inboxes.set(name, [...(inboxes.get(name) ?? []), inbox])
        return inbox
      },
      deadLetters: {
        put: async (letter) => {
          letters.push(letter)
        },
        lettered: async () => new Map(),
      },
      logger: silentLogger,
      clock: systemClock,
    })
  })

  afterEach(() => router.close())

  const stampOf = (enqueuedAtMs: number): BatchStamp => ({
    schemaVersion: 1,
    edgeId: 'e',
    epoch: 1,
    sequence: sequence++,
    messageCount: 1,
    enqueuedAtMsFirst: enqueuedAtMs,
    enqueuedAtMsLast: enqueuedAtMs,
  })

  async function send(body: string, properties: Record<string, string> = {}): Promise<void> {
    const enqueuedAtMs = 1_700_000_000_000 + sequence
    const envelope = { deviceId: 'd', enqueuedAtMs, body: Buffer.from(body), properties, systemProperties: {} }
    await log.append(0, stampOf(enqueuedAtMs), batchFromMessages([{ bytes: envelopeBytes(envelope) }]))
  }

  const document = (changes: Partial<RoutingDocument>): RoutingDocument => ({ ...emptyRouting, ...changes })
  const bodies = (name: string) => inboxes.get(name)?.flatMap((inbox) => inbox.bodies) ?? []
  const eventually = (name: string, expected: readonly string[]) => expect.poll(() => bodies(name)).toEqual(expected)

  test('of a log that was made anew each endpoint gets the messages that lie there now, not those that lay under their offsets [G-2]', async () => {
    router.apply(
      1,
      document({
        routes: [route('some', "level = 'high'", 'a', 'b')],
        endpoints: ['a', 'b'].map((name) => endpoint(name)),
      }),
    )
    for (const body of ['1', '2']) await send(body, { level: 'high' })
    await eventually('a', ['1', '2'])
    await eventually('b', ['1', '2'])
    log.store.makeAnew()
    for (const body of ['3', '4', '5']) await send(body, { level: 'high' })
    await eventually('a', ['1', '2', '3', '4', '5'])
    await eventually('b', ['1', '2', '3', '4', '5'])
  })

  test('an endpoint whose routes ask for twins waits while nobody can tell them, and no other does [G-10]', async () => {
    known.isAway = true
    router.apply(
      1,
      document({
        routes: [
          route('site', "$twin.tags.site = 'x'", 'asks'),
          route('high', "level = 'high'", 'plain', 'asks'),
          route('stamped', 'true', 'stamped'),
        ],
        fallbackRoute: { name: '$fallback', condition: 'true', endpointNames: ['rest'], isEnabled: true },
        enrichments: [{ key: 'site', value: '$twin.tags.site', endpointNames: ['stamped'] }],
        endpoints: ['asks', 'plain', 'stamped', 'rest'].map((name) => endpoint(name)),
      }),
    )
    for (const [body, level] of [
      ['1', 'high'],
      ['2', 'low'],
    ] as const)
      await send(body, { level })
    await eventually('plain', ['1'])
    await expect.poll(() => known.asked.length).toBeGreaterThan(1)
    expect(['asks', 'stamped', 'rest'].map(bodies)).toEqual([[], [], []])
    known.twins.set('d', { tags: { site: 'x' } })
    known.isAway = false
    await eventually('asks', ['1', '2'])
    await eventually('stamped', ['1', '2'])
    expect(inboxes.get('stamped')?.[0]?.properties.map(({ site }) => site)).toEqual(['x', 'x'])
    expect(bodies('rest')).toEqual([])
    const matched = router
      .samples()
      .flatMap(([name, labels, value]) => (name === 'penstock_route_messages_matched_total' ? [[labels, value]] : []))
    expect(Object.fromEntries(matched)).toEqual({
      'route="site"': 2,
      'route="high"': 1,
      'route="stamped"': 2,
      'route="$fallback"': 0,
    })
  })

  test('a change of a twin that is told decides about what comes after it', async () => {
    const changes = new MemoryLog({ store: new MemoryStore('penstock.twin-events', 1) })
    const stopFollowing = followTwinChanges({ log: changes, twins, clock: systemClock, logger: silentLogger })
    const set = async (site: string): Promise<void> => {
      known.twins.set('d', { tags: { site } })
      const change = { deviceId: 'd', moduleId: undefined, id: site, opType: 'updateTwin', atMs: 1 } as const
      const bytes = envelopeBytes(twinEventEnvelope({ ...change, body: JSON.stringify({ tags: { site } }) }, 'hub', 1))
      await changes.append(0, stampOf(1), batchFromMessages([{ bytes }]))
      await expect.poll(() => twins.find('d')).toBeUndefined()
    }
    known.twins.set('d', { tags: { site: 'x' } })
    router.apply(1, document({ routes: [route('site', "$twin.tags.site = 'x'", 'a')], endpoints: [endpoint('a')] }))
    await send('1')
    await eventually('a', ['1'])
    await expect.poll(() => twins.find('d')).toBeDefined()
    await set('y')
    await send('2')
    await expect.poll(() => twins.find('d')).toEqual(['y'])
    await set('x')
    await send('3')
    await eventually('a', ['1', '3'])
    await stopFollowing()
  })

  test('sends each endpoint what its routes take, in order, and the rest to the fallback', async () => {
    router.apply(
      1,
      document({
        routes: [route('high', "level = 'high'", 'a'), route('also', "level = 'high' OR level = 'mid'", 'a', 'b')],
        fallbackRoute: { name: '$fallback', condition: 'true', endpointNames: ['c'], isEnabled: true },
        endpoints: [endpoint('a'), endpoint('b'), endpoint('c')],
      }),
    )
    for (const [body, level] of [
      ['1', 'high'],
      ['2', 'low'],
      ['3', 'mid'],
      ['4', 'high'],
    ] as const)
      await send(body, { level })
    await eventually('a', ['1', '3', '4'])
    await eventually('b', ['1', '3', '4'])
    await eventually('c', ['2'])
  })

  test('an endpoint that is down keeps none of the others, and gets all of its own afterwards', async () => {
    router.apply(1, document({ routes: [route('all', 'true', 'a', 'b')], endpoints: [endpoint('a'), endpoint('b')] }))
    await expect.poll(() => inboxes.get('a')).toBeDefined()
    const [down] = inboxes.get('a') ?? []
    if (down === undefined) throw new Error('the endpoint was opened')
    down.isDown = true
    for (const body of ['1', '2', '3']) await send(body)
    await eventually('b', ['1', '2', '3'])
    expect(bodies('a')).toEqual([])
    await expect
      .poll(() => router.runs.find((run) => run.endpoint.name === 'a')?.health())
      .toMatchObject({ healthStatus: 'degraded' })
    down.isDown = false
    await eventually('a', ['1', '2', '3'])
  })

  test('another document takes effect: routes without a pause, endpoints that changed by a new connection', async () => {
    router.apply(1, document({ routes: [route('r', "k = '1'", 'a')], endpoints: [endpoint('a')] }))
    await send('1', { k: '1' })
    await eventually('a', ['1'])
    router.apply(2, document({ routes: [route('r', "k = '2'", 'a')], endpoints: [endpoint('a')] }))
    await send('2', { k: '1' })
    await send('3', { k: '2' })
    await eventually('a', ['1', '3'])
    expect(inboxes.get('a')?.length).toBe(1)
    router.apply(
      3,
      document({ routes: [route('r', 'true', 'a')], endpoints: [endpoint('a', { settings: { delayMs: 2 } })] }),
    )
    await send('4')
    await eventually('a', ['1', '3', '4'])
    expect(inboxes.get('a')?.map(({ isClosed }) => isClosed)).toEqual([true, false])
  })

  test('an endpoint that is disabled goes on where it was; one that is made anew begins anew', async () => {
    const all = (changes: Partial<EndpointDocument>) =>
      document({ routes: [route('r', 'true', 'a')], endpoints: [endpoint('a', changes)] })
    router.apply(1, all({}))
    await send('1')
    await eventually('a', ['1'])
    router.apply(2, all({ isEnabled: false }))
    await expect.poll(() => router.runs).toEqual([])
    await send('2')
    router.apply(3, all({}))
    await eventually('a', ['1', '2'])
    router.apply(4, all({ generation: 4, startsAtMs: 1_700_000_000_001 }))
    await eventually('a', ['1', '2', '2'])
  })

  test.each([
    ['with the oldest', 0, ['1', '2', '3']],
    ['at a time', 1_700_000_000_001, ['2', '3']],
    ['now', 1_700_000_000_002, ['3']],
  ])('an endpoint that is new begins %s', async (_, startsAtMs, expected) => {
    for (const body of ['1', '2']) await send(body)
    router.apply(1, document({ routes: [route('r', 'true', 'a')], endpoints: [endpoint('a', { startsAtMs })] }))
    await expect.poll(() => router.runs.length).toBe(1)
    await send('3')
    await eventually('a', expected)
  })

  test('messages are stamped, and one that grows too large is a letter of its endpoint alone', async () => {
    router.apply(
      1,
      document({
        routes: [route('r', 'true', 'a', 'b')],
        enrichments: [
          { key: 'hub', value: '$iothubname', endpointNames: ['a'] },
          { key: 'site', value: 'north', endpointNames: ['a'] },
        ],
        endpoints: [endpoint('a'), endpoint('b')],
      }),
    )
    await send('1', { k: 'v', site: 'south' })
    await send('x'.repeat(limits.bodyBytesMax - 5))
    await send('3')
    await eventually('a', ['1', '3'])
    expect(inboxes.get('a')?.[0]?.properties).toEqual([
      { k: 'v', hub: 'hub.example', site: 'north' },
      { hub: 'hub.example', site: 'north' },
    ])
    await expect.poll(() => bodies('b').length).toBe(3)
    expect(letters).toMatchObject([
      { endpoint: 'a', reason: 'ENDPOINT_REFUSED', messageFirst: 0, record: { offset: 1 } },
    ])
  })

  test('a document that cannot be read leaves the one before in force', async () => {
    router.apply(1, document({ routes: [route('r', 'true', 'a')], endpoints: [endpoint('a')] }))
    expect(() => router.apply(2, document({ routes: [route('r', 'level >', 'a')] }))).toThrow('r')
    await send('1')
    await eventually('a', ['1'])
    expect(router.revision).toBe(1)
  })
})
