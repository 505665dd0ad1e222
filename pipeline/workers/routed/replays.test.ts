/** Replays on the memory log, beside a router that delivers what comes in. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { MemoryEndpoint, MemoryReceiver } from '#pipeline/endpoints/memory/memory-endpoint.ts'
import { MemoryTable, MemoryTableSink } from '#pipeline/endpoints/memory/memory-table-sink.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { SelectionTurns } from '#pipeline/routing/select/selection-turns.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import type { ReplayDocument } from '#schemas/routing/replay.ts'
import { type EndpointDocument, emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import type { UndeliverableRecord } from '../undeliverable.ts'
import { Pace } from './pace.ts'
import { Replays, type ReplaysOptions } from './replays.ts'

const timeMs = 1_700_000_000_000
const endpoint: EndpointDocument = {
  name: 'e',
  kind: 'webhook',
  from: 'now',
  generation: 2,
  startsAtMs: 0,
  whenBehind: 'expire',
  isEnabled: true,
  settings: { delayMs: 1 },
}
const document: RoutingDocument = {
  ...emptyRouting,
  routes: [
    { name: 'r', source: 'DeviceMessages', condition: "kind = 'a'", endpointNames: ['e', 'other'], isEnabled: true },
    { name: 's', source: 'DeviceMessages', condition: "kind = 'b'", endpointNames: ['other'], isEnabled: true },
  ],
  fallbackRoute: { name: '$fallback', condition: 'true', endpointNames: ['e'], isEnabled: true },
  endpoints: [endpoint],
}
const replay: ReplayDocument = {
  id: 'r1',
  endpoint: 'e',
  generation: 2,
  revision: 2,
  begunAtMs: timeMs + 1_000,
  fromMs: 0,
  toMs: timeMs + 1_000,
  where: 'true',
  deviceId: undefined,
  messagesPerSecondMax: undefined,
}

describe('replays', () => {
  let store: MemoryStore
  let receiver: MemoryReceiver
  let table: MemoryTable
  let letters: UndeliverableRecord[]
  let opened: Replays[]

  beforeEach(() => {
    store = new MemoryStore('penstock.telemetry', 2)
    receiver = new MemoryReceiver()
    table = new MemoryTable()
    letters = []
    opened = []
  })

  afterEach(async () => {
    await Promise.all(opened.map((replays) => replays.close()))
  })

  function open(changes: Partial<ReplaysOptions> = {}): Replays {
    const replays = new Replays({
      logs: [{ kind: 'telemetry', log: new MemoryLog({ store }) }],
      topicPrefix: 'penstock',
      hubName: 'hub.example',
      interpreted: false,
      turns: new SelectionTurns(),
      open: ({ name }) => new MemoryEndpoint(receiver, name),
      deadLetters: { put: async (letter) => void letters.push(letter), lettered: async () => new Map() },
      logger: silentLogger,
      clock: systemClock,
      ...changes,
    })
    opened.push(replays)
    return replays
  }

  /** A batch with a message for each `kind/device`, a millisecond apart. */
  async function send(partition: number, atMs: number, ...messages: readonly string[]): Promise<void> {
    const sequence = store.partitions[partition]?.records.length ?? 0
    const envelopes = messages.map((text, place) => {
      const [kind = '', deviceId = 'd'] = text.split('/')
      const body = Buffer.from(`${partition}@${atMs - timeMs + place}`)
      return { deviceId, enqueuedAtMs: atMs + place, body, properties: { kind }, systemProperties: {} }
    })
    const stamp = { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence, messageCount: messages.length }
    await new MemoryLog({ store }).append(
      partition,
      { ...stamp, enqueuedAtMsFirst: atMs, enqueuedAtMsLast: atMs + messages.length - 1 },
      batchFromMessages(envelopes.map((envelope) => ({ bytes: envelopeBytes(envelope) }))),
    )
  }

  const bodies = () =>
    receiver.requests.flatMap(({ messages }) => messages.map(({ body }) => Buffer.from(body).toString()))
  const rows = () => table.messages.map(({ body }) => Buffer.from(body).toString())
  const isDone = async (replays: Replays) => (await replays.runs[0]?.progress())?.isDone === true
  const untilDone = (replays: Replays) =>
    vi.waitFor(async () => expect(await isDone(replays)).toBe(true), { timeout: 30_000, interval: 10 })

  test('sends what routes send there, in groups of its own, and is done at its end', async () => {
    await send(0, timeMs, 'a', 'b', 'c')
    await send(1, timeMs, 'a')
    await send(0, timeMs + 2_000, 'a')
    const replays = open()
    expect(await replays.apply(2, document, [replay])).toEqual([])
    await untilDone(replays)
    // What routes to others take is not the fallback's.
    expect(bodies().sort()).toEqual(['0@0', '0@2', '1@0'])
    expect(await replays.runs[0]?.progress()).toMatchObject({ records: 2, recordsDone: 2, messagesDelivered: 3 })
    const log = new MemoryLog({ store })
    expect((await log.positions('penstock.replay.r1')).map((position) => position?.offset)).toEqual([1, 1])
    expect(await log.positions('penstock.endpoint.e.2')).toEqual([undefined, undefined])
    expect(replays.samples()).toEqual([
      ['penstock_endpoint_messages_replayed_total', 'endpoint="e",log="telemetry"', 3],
    ])
    expect(bodies().length).toBe(3)
  })

  test.each<[string, Partial<ReplayDocument>, string[]]>([
    ['a condition', { where: "kind <> 'c'" }, ['0@0', '0@10']],
    ['a condition that would be read otherwise without brackets', { where: "kind = 'x' OR kind = 'b'" }, []],
    ['a device', { deviceId: "it's\\one" }, ['0@2']],
    ['a beginning within a batch', { fromMs: timeMs + 2 }, ['0@2', '0@10', '0@12']],
    ['an end within a batch', { toMs: timeMs + 12 }, ['0@0', '0@2', '0@10']],
    ['an end before all', { toMs: timeMs }, []],
    ['all after its end', { fromMs: timeMs + 500 }, []],
  ])('sends only %s', async (_, changes, expected) => {
    await send(0, timeMs, 'a', 'b', "c/it's\\one")
    await send(0, timeMs + 10, 'a', 'b', 'c')
    const replays = open()
    await replays.apply(2, document, [{ ...replay, ...changes }])
    await untilDone(replays)
    expect(bodies()).toEqual(expected)
  })

  test('killed at any insert or note it goes on where it was, and a table has each message once [G-10]', async () => {
    for (let place = 0; place < 6; place++) await send(place % 2, timeMs + place, 'a', 'c')
    const all = [0, 1, 2, 3, 4, 5].flatMap((place) => [`${place % 2}@${place}`, `${place % 2}@${place + 1}`])
    let kills = 0
    for (let done = false; !done; ) {
      let calls = 0
      const killAt = ++kills
      /** A process that is killed does nothing any more. */
      const living = async (): Promise<void> => {
        if (++calls >= killAt) await new Promise<never>(() => {})
      }
      const log = new MemoryLog({ store, beforeCommit: living } as ConstructorParameters<typeof MemoryLog>[0])
      const sink = new MemoryTableSink(table, systemClock, 'e')
      const dying: TableSink = Object.assign(Object.create(sink) as TableSink, {
        name: 'e',
        atomic: true,
        insertMsMax: 10,
        rangeLimits: { messagesMax: 2, bytesMax: 1_000_000, envelopeBytesMax: 1_000_000 },
        insert: async (...request: Parameters<TableSink['insert']>) => {
          await living()
          await sink.insert(...request)
          await living()
        },
        stored: (...question: Parameters<TableSink['stored']>) => sink.stored(...question),
        newest: (...question: Parameters<TableSink['newest']>) => sink.newest(...question),
        accepts: () => sink.accepts(),
        close: async () => {},
      })
      const replays = open({ logs: [{ kind: 'telemetry', log }], open: () => dying })
      opened.pop()
      await replays.apply(2, document, [replay])
      await vi.waitFor(
        async () => {
          done = await isDone(replays)
          expect(done || calls >= killAt).toBe(true)
        },
        { timeout: 30_000, interval: 5 },
      )
      await log.close()
    }
    expect(kills).toBeGreaterThan(6)
    expect(rows().sort()).toEqual(all.sort())
  })

  test('one that is no longer wanted ends; one whose endpoint is off waits, and of one that is gone it is said', async () => {
    receiver.isAway = true
    await send(0, timeMs, 'a')
    const replays = open()
    await replays.apply(2, document, [replay])
    expect(replays.runs.length).toBe(1)
    await replays.apply(3, { ...document, endpoints: [{ ...endpoint, isEnabled: false }] }, [replay])
    expect(replays.runs).toEqual([])
    await replays.apply(4, document, [replay])
    expect(replays.runs.length).toBe(1)
    await replays.apply(4, document, [])
    expect(replays.runs).toEqual([])
    const anew = { ...document, endpoints: [{ ...endpoint, generation: 5 }] }
    expect(await replays.apply(5, anew, [replay])).toEqual([replay])
    // An older document says nothing of a newer replay.
    expect(await replays.apply(1, emptyRouting, [replay])).toEqual([])
  })

  test('what is refused in it is a letter of its own', async () => {
    receiver.badBody = '0@0'
    await send(0, timeMs, 'a', 'a')
    const replays = open()
    await replays.apply(2, document, [replay])
    await untilDone(replays)
    expect(bodies()).toEqual(['0@1'])
    expect(letters).toMatchObject([{ endpoint: 'e', replay: 'r1', messageFirst: 0 }])
  })

  test('goes no faster than it may', async () => {
    const clock = virtualClock(0)
    const pace = new Pace(10, clock)
    const turns: number[] = []
    const taken = [5, 10, 1].map((count) =>
      pace.take(count, new AbortController().signal).then(() => turns.push(clock.monotonicMs())),
    )
    while (turns.length < 3) {
      await new Promise((resolve) => setImmediate(resolve))
      clock.step()
    }
    await Promise.all(taken)
    const [begin = 0] = turns
    expect(turns.map((turnMs) => turnMs - begin)).toEqual([0, 500, 1_500])
  })
})
