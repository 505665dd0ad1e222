/** Dead letters on the memory log, replayed to a worker whose sink takes everything. */
import { setImmediate } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { Circuit } from '#pipeline/endpoints/circuit.ts'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { MemoryEndpoint, MemoryReceiver } from '#pipeline/endpoints/memory/memory-endpoint.ts'
import { MemoryTable, MemoryTableSink } from '#pipeline/endpoints/memory/memory-table-sink.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { openDeadLetterBox } from '#pipeline/workers/dead-letters/dead-letter-box.ts'
import { listDeadLetters } from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { simulatedBatch } from '#pipeline/workers/simulation/simulated-batch.ts'
import { SimulatedWarehouse } from '#pipeline/workers/simulation/simulated-warehouse.ts'
import { startWorker } from '#pipeline/workers/worker.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { Permits } from '#runtime/permits.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { metricsTable } from '#schemas/metrics.ts'
import {
  dropDeadLetter,
  type EndpointAccess,
  letterIdFromText,
  replayDeadLetter,
  replayToEndpoint,
} from './dead-letter-commands.ts'
import { renderDeadLetters } from './render-dead-letters.ts'

describe('dead letters', () => {
  const clock = virtualClock(1_000_000)
  let telemetry: MemoryStore
  let letters: MemoryStore
  const id = letterIdFromText('0:0')

  const open = (store: MemoryStore, options: Partial<ConstructorParameters<typeof MemoryLog>[0]> = {}) =>
    new MemoryLog({ store, clock, ...options })
  const killed = () => Promise.reject(new Error('killed'))
  const replay = (onLetters = open(letters), onTelemetry = open(telemetry)) =>
    replayDeadLetter(onLetters, onTelemetry, id, clock.nowMs())
  const drop = () => dropDeadLetter(open(letters), id, clock.nowMs())
  const states = async () => (await listDeadLetters(open(letters))).map(({ state }) => state)
  const list = async () => renderDeadLetters(await listDeadLetters(open(letters)))

  async function putLetter(endpoint?: string, value = simulatedBatch(0, 2, 5)): Promise<void> {
    const stamp = { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence: 0, messageCount: 2 }
    await openDeadLetterBox({ log: open(letters), warehouse: undefined, logger: silentLogger, clock }).put({
      topic: 'telemetry',
      partition: 1,
      record: {
        offset: 7,
        stamp: { ...stamp, enqueuedAtMsFirst: 5, enqueuedAtMsLast: 5 },
        value,
      },
      messageFirst: 0,
      reason: 'WAREHOUSE_REFUSED',
      text: 'no',
      endpoint,
    })
  }

  /** As a process that has the endpoint open. */
  const accessOf = (destination: TableSink | Endpoint): EndpointAccess => ({
    destination,
    ended: new AbortController().signal,
    circuit: undefined,
    permits: new Permits(1),
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    metrics: new Metrics(metricsTable),
    deadLetters: openDeadLetterBox({
      log: open(letters),
      warehouse: undefined,
      logger: silentLogger,
      clock: systemClock,
    }),
  })
  const replayTo = (destination: TableSink | Endpoint, onLetters = open(letters)) =>
    replayToEndpoint(onLetters, id, accessOf(destination))

  beforeEach(async () => {
    telemetry = new MemoryStore('telemetry', 2)
    letters = new MemoryStore('dead-letters', 1)
    await putLetter()
  })

  /** Rows that a worker makes of all that is on the log. */
  async function rowCount(): Promise<number> {
    const sink = new SimulatedWarehouse({
      clock,
      random: seededRandom(1),
      faults: { lossShare: 0, burnShare: 0 },
      poison: new Set(),
      insertMsMax: 3_000,
      tokenMsMax: 5_000,
      requestMsMax: 1_000,
    })
    const log = open(telemetry)
    const { next } = (await log.ranges())[1]!
    const deadLetters = { put: killed, lettered: killed }
    const metrics = new Metrics(metricsTable)
    const worker = await startWorker({
      log,
      group: 'g',
      destination: sink,
      deadLetters,
      logger: silentLogger,
      metrics,
      insertDelayMs: 1,
      clock,
    })
    while (next > 0 && log.position('g', 1)?.offset !== next) {
      await setImmediate()
      clock.step()
    }
    const closing = worker.close()
    for (let closed = false; !closed; clock.step())
      closed = await Promise.race([closing.then(() => true), setImmediate(false)])
    return sink.ranges.reduce((rows, { messages }) => rows + messages.length, 0)
  }

  test('replayed twice a letter becomes rows once: the second replay is refused and says when the first was [G-2]', async () => {
    expect(await replay()).toBe(0)
    await expect(replay()).rejects.toMatchObject({
      code: 'DEAD_LETTER_SETTLED',
      message: expect.stringContaining(`0:0 was replayed at ${new Date(clock.nowMs()).toISOString()}`),
    })
    expect(await rowCount()).toBe(2)
    expect(await list()).toBe('no open dead letters; 1 replayed, 0 dropped\n')
  })

  test('a letter of an endpoint is never appended to the log, where every destination would get it [G-10]', async () => {
    letters = new MemoryStore('dead-letters', 1)
    await putLetter('webhook')
    await expect(replay()).rejects.toMatchObject({
      code: 'DEAD_LETTER_OF_ENDPOINT',
      message: expect.stringContaining('webhook'),
    })
    expect(telemetry.partitions[1]!.records).toEqual([])
    expect(await states()).toEqual(['open'])
    expect(await list()).toContain('WAREHOUSE_REFUSED (webhook)')
    await drop()
  })

  describe('of an endpoint', () => {
    const bodiesOf = (table: MemoryTable) => table.messages.map(({ body }) => Buffer.from(body).toString())

    /** Its log dies at append `count` of the replay, before or after it. */
    function dyingLetters(count: number, when: 'beforeAppend' | 'afterAppend') {
      let appends = 0
      return open(letters, { [when]: async () => void (++appends === count && (await killed())) })
    }

    beforeEach(async () => {
      letters = new MemoryStore('dead-letters', 1)
      await putLetter('e')
    })

    test('a letter of an endpoint is replayed to that endpoint, under the same ids however often it is interrupted [G-10]', async () => {
      const receiver = new MemoryReceiver()
      await expect(replayTo(new MemoryEndpoint(receiver, 'e'), dyingLetters(3, 'beforeAppend'))).rejects.toThrow(
        'killed',
      )
      expect(await states()).toEqual(['replaying'])
      await expect(drop()).rejects.toMatchObject({ code: 'DEAD_LETTER_REPLAYING' })
      expect(await replayTo(new MemoryEndpoint(receiver, 'e'))).toBe(true)
      expect(await states()).toEqual(['replayed'])
      await expect(replayTo(new MemoryEndpoint(receiver, 'e'))).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' })
      const { requests } = receiver
      expect(requests.map((request) => request.id)).toEqual(Array(2).fill('e/dead-letters/0/0-0/e.1.0#0+2'))
      expect(requests[1]?.messages.map((message) => message.id)).toEqual(['dead-letters/0/0/0', 'dead-letters/0/0/1'])
      expect(telemetry.partitions[1]!.records).toEqual([])
    })

    test.each(['beforeAppend', 'afterAppend'] as const)(
      'a table has it once, wherever its replay is killed: %s [G-10]',
      async (when) => {
        for (let count = 1; count <= 3; count++) {
          letters = new MemoryStore('dead-letters', 1)
          await putLetter('e')
          const table = new MemoryTable()
          const sink = () => new MemoryTableSink(table, systemClock, 'e')
          await expect(replayTo(sink(), dyingLetters(count, when))).rejects.toThrow('killed')
          if (when === 'beforeAppend' || count < 3) expect(await replayTo(sink())).toBe(true)
          expect(await states()).toEqual(['replayed'])
          await expect(replayTo(sink())).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' })
          expect(bodiesOf(table)).toEqual(['0/0', '0/1'])
        }
      },
    )

    test.each([1, 2, 3, 4, 5, 6])(
      'killed at note %i, and mended then, a letter that was refused in part is there once: as row or as letter [G-10]',
      async (count) => {
        const table = new MemoryTable()
        table.badBody = '0/1'
        await expect(
          replayTo(new MemoryTableSink(table, systemClock, 'e'), dyingLetters(count, 'beforeAppend')),
        ).rejects.toThrow('killed')
        table.badBody = undefined
        expect(await replayTo(new MemoryTableSink(table, systemClock, 'e'))).toBe(true)
        const [first, second] = await listDeadLetters(open(letters))
        expect(first?.state).toBe('replayed')
        expect([...bodiesOf(table), ...(second ? [`0/${second.letter.messageFirst}`] : [])]).toEqual(['0/0', '0/1'])
      },
    )

    test('of two that replay a letter to a table at once, the one that began last goes on, and it is there once [G-10]', async () => {
      const table = new MemoryTable()
      table.badBody = '0/1'
      let other: Promise<boolean> | undefined
      let appends = 0
      const overtaken = open(letters, {
        beforeAppend: async () => {
          if (++appends !== 2) return
          other = replayTo(new MemoryTableSink(table, systemClock, 'e'))
          await other
          table.badBody = undefined
        },
      })
      expect(await replayTo(new MemoryTableSink(table, systemClock, 'e'), overtaken)).toBe(true)
      expect(await other).toBe(true)
      expect(bodiesOf(table)).toEqual(['0/0'])
      expect((await listDeadLetters(open(letters))).map(({ state, letter }) => [state, letter.messageFirst])).toEqual([
        ['replayed', 0],
        ['open', 1],
      ])
    })

    test.each([
      ['an endpoint', () => new MemoryReceiver()],
      ['a table', () => new MemoryTable()],
    ])('what %s refuses again is another letter, and the first one is settled', async (_, openServer) => {
      const server = openServer()
      server.badBody = '0/1'
      const isTable = server instanceof MemoryTable
      const destination = isTable ? new MemoryTableSink(server, systemClock, 'e') : new MemoryEndpoint(server, 'e')
      expect(await replayTo(destination)).toBe(true)
      expect(isTable ? bodiesOf(server) : server.requests.map(({ messages }) => messages.length)).toEqual(
        isTable ? ['0/0'] : [1],
      )
      const [first, second] = await listDeadLetters(open(letters))
      expect([first?.state, second?.state]).toEqual(['replayed', 'open'])
      expect(second?.letter).toMatchObject({ topic: 'dead-letters', offset: 0, messageFirst: 1, endpoint: 'e' })
    })

    test('an endpoint that takes nothing keeps the letter, which is not settled', async () => {
      const table = new MemoryTable()
      table.hasRight = false
      const ended = new AbortController()
      const circuit = new Circuit({ name: 'e', clock: systemClock, random: Math.random, onStatus: () => ended.abort() })
      const access = { destination: new MemoryTableSink(table, systemClock, 'e'), ended: ended.signal, circuit }
      expect(await replayToEndpoint(open(letters), id, { ...accessOf(access.destination), ...access })).toBe(false)
      expect(await states()).toEqual(['replaying'])
      table.hasRight = true
      expect(await replayTo(new MemoryTableSink(table, systemClock, 'e'))).toBe(true)
      expect(bodiesOf(table)).toEqual(['0/0', '0/1'])
    })

    test('a letter that cannot be read is not sent', async () => {
      letters = new MemoryStore('dead-letters', 1)
      await putLetter('e', Buffer.from('no batch'))
      await expect(replayTo(new MemoryEndpoint(new MemoryReceiver(), 'e'))).rejects.toMatchObject({
        code: 'BATCH_CORRUPT',
      })
      expect(await states()).toEqual(['open'])
    })
  })

  test('a letter is dropped once and not after its replay, replayed not after it was dropped', async () => {
    await drop()
    await expect(drop()).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' })
    await expect(replay()).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' })
    expect(telemetry.partitions[1]!.records).toEqual([])
    letters = new MemoryStore('dead-letters', 1)
    await putLetter()
    await replay()
    await expect(drop()).rejects.toMatchObject({
      code: 'DEAD_LETTER_SETTLED',
      message: expect.stringContaining('replayed'),
    })
    expect(await states()).toEqual(['replayed'])
  })

  test('killed between append and settling, a replay is shown as such and its repetition sends nothing twice [G-2]', async () => {
    await expect(replay(open(letters), open(telemetry, { afterAppend: killed }))).rejects.toThrow('killed')
    expect(await list()).toMatch(/0:0 +replaying .*\n1 open/)
    await expect(drop()).rejects.toMatchObject({ code: 'DEAD_LETTER_REPLAYING' })
    expect(await replay()).toBe(0)
    expect(telemetry.partitions[1]!.records).toHaveLength(1)
    expect(await rowCount()).toBe(2)
    expect(await states()).toEqual(['replayed'])
  })

  test('killed between its note and the append, a replay is repeated and sends the letter', async () => {
    await expect(replay(open(letters), open(telemetry, { beforeAppend: killed }))).rejects.toThrow('killed')
    expect(await states()).toEqual(['replaying'])
    expect(await replay()).toBe(0)
    expect(await rowCount()).toBe(2)
  })

  test('an append of a killed replay that lands after its repetition has the same stamp, so the worker leaves it out [G-2]', async () => {
    let land = () => {}
    const landing = new Promise<void>((resolve) => {
      land = resolve
    })
    const first = replay(open(letters), open(telemetry, { beforeAppend: () => landing }))
    while ((await states())[0] !== 'replaying') await setImmediate()
    await setImmediate()
    await replay()
    land()
    await first
    expect(telemetry.partitions[1]!.records).toHaveLength(2)
    expect(await rowCount()).toBe(2)
  })

  test('of two who settle a letter at once the first on the topic wins, and the other is told', async () => {
    const beforeAppend = async () => {
      beaten ??= drop()
      await beaten
    }
    let beaten: Promise<void> | undefined
    await expect(replay(open(letters, { beforeAppend }))).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' })
    expect(telemetry.partitions[1]!.records).toEqual([])
    expect(await states()).toEqual(['dropped'])
  })

  test('a letter that a worker wrote twice is one: replayed by either id, it is settled by both', async () => {
    await putLetter()
    expect(await states()).toEqual(['open'])
    await replayDeadLetter(open(letters), open(telemetry), letterIdFromText('0:1'), clock.nowMs())
    await expect(replay()).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' })
    expect(await states()).toEqual(['replayed'])
  })

  test.each(['9:9', '0:9'])('what is no letter is said so: %s', async (text) => {
    const none = letterIdFromText(text)
    for (const call of [
      dropDeadLetter(open(letters), none, 0),
      replayDeadLetter(open(letters), open(telemetry), none, 0),
    ])
      await expect(call).rejects.toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' })
  })
})
