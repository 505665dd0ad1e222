import { describe, expect, test } from 'vitest'
import type { TwinEventPortion, TwinOutbox } from '#control/twins/twins.ts'
import { CapturingLog } from '#ingest/edge-fixture.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { TwinChange } from '#schemas/twin-event.ts'
import { forwardTwinEvents } from './twin-event-forwarder.ts'

const changeOf = (n: number, body = `{"version":${n}}`): TwinChange => ({
  deviceId: 'd',
  moduleId: n % 2 === 0 ? 'm' : undefined,
  id: String(n),
  opType: 'updateTwin',
  atMs: 1_000 + n,
  body,
})

/** In memory; what was read and not forgotten is read again. */
class FakeOutbox implements TwinOutbox {
  readonly waiting: TwinChange[] = []
  portionMax = 2
  holds = 0
  isAway = false
  losesAnswer = false

  async next(): Promise<TwinEventPortion> {
    if (this.isAway) throw new PenstockError('STORE_UNAVAILABLE', 'away')
    const events = this.waiting.slice(0, this.portionMax)
    return { events, rows: events.map(({ id }) => id) }
  }
  async hold(): Promise<void> {
    this.holds++
  }
  async forget({ rows }: TwinEventPortion): Promise<void> {
    if (this.losesAnswer) {
      this.losesAnswer = false
      throw new PenstockError('STORE_UNAVAILABLE', 'cut off')
    }
    for (const row of rows)
      this.waiting.splice(
        this.waiting.findIndex(({ id }) => id === row),
        1,
      )
  }
  async measure() {
    return { waiting: this.waiting.length, oldestAtMs: this.waiting[0]?.atMs }
  }
  async drop(keptMax: number): Promise<number> {
    return this.waiting.splice(0, this.waiting.length - keptMax).length
  }
}

function forwarding(outbox = new FakeOutbox(), log = new CapturingLog()) {
  const metrics = new Metrics<MetricName>(metricsTable)
  const clock = virtualClock(1_700_000_000_000)
  const options = { outbox, log, hubName: 'hub', writerId: 'c', metrics, logger: silentLogger, clock }
  const close = forwardTwinEvents(options)
  /** Until it is so: promises settle between steps of the clock. */
  const until = async (isSo: () => boolean): Promise<void> => {
    for (let round = 0; round < 2_000 && !isSo(); round++) {
      await new Promise((resolve) => setImmediate(resolve))
      clock.step()
    }
    expect(isSo()).toBe(true)
  }
  const counted = (name: MetricName): number => metrics.series(name).value
  return { outbox, log, clock, close, until, counted }
}

describe('changes of twins', () => {
  test('go to the log in their order, as the hub’s messages, and leave the outbox once they are confirmed', async () => {
    const { outbox, log, close, until, counted } = forwarding()
    outbox.waiting.push(...[1, 2, 3].map((n) => changeOf(n)))
    await until(() => outbox.waiting.length === 0)
    const [first, second, third] = log.envelopes()
    expect(first).toMatchObject({
      deviceId: 'd',
      properties: {
        hubName: 'hub',
        deviceId: 'd',
        operationTimestamp: '1970-01-01T00:00:01.0010000Z',
        opType: 'updateTwin',
        'iothub-message-schema': 'twinChangeNotification',
      },
      systemProperties: {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        correlationId: '1',
        userId: 'hub',
        'iothub-message-source': 'twinChangeEvents',
      },
    })
    expect(second).toMatchObject({ properties: { moduleId: 'm' }, systemProperties: { moduleId: 'm' } })
    expect(Buffer.from(third!.body).toString()).toBe('{"version":3}')
    expect(counted('penstock_twin_events_written_total')).toBe(3)
    await close()
  })

  test('are told again where nobody knows whether they were forgotten, under the same correlationId', async () => {
    const { outbox, log, close, until } = forwarding()
    outbox.losesAnswer = true
    outbox.waiting.push(changeOf(1))
    await until(() => outbox.waiting.length === 0)
    expect(log.envelopes().map(({ systemProperties }) => systemProperties.correlationId)).toEqual(['1', '1'])
    await close()
  })

  test('that the store gives in another order than they were made in are not told [G-8]', async () => {
    const { outbox, log, close, until } = forwarding()
    const inOrder = outbox.next.bind(outbox)
    let asked = 0
    outbox.next = async () => {
      asked++
      const { events, rows } = await inOrder()
      return { events: [...events].reverse(), rows: [...rows].reverse() }
    }
    outbox.waiting.push(changeOf(1), changeOf(2))
    await until(() => asked > 2)
    expect(log.envelopes()).toEqual([])
    outbox.next = inOrder
    await until(() => outbox.waiting.length === 0)
    expect(log.envelopes().map(({ systemProperties }) => systemProperties.correlationId)).toEqual(['1', '2'])
    await close()
  })

  test('wait for a log that does not answer, while this process keeps the right to tell them', async () => {
    const log = new CapturingLog()
    let confirm = (): void => {}
    const confirmed = new Promise<void>((resolve) => {
      confirm = resolve
    })
    log.gate = () => confirmed
    const { outbox, close, until } = forwarding(new FakeOutbox(), log)
    outbox.waiting.push(changeOf(1))
    await until(() => outbox.holds > 3)
    expect(outbox.waiting).toHaveLength(1)
    confirm()
    await until(() => outbox.waiting.length === 0)
    const holds = outbox.holds
    outbox.waiting.push(changeOf(2))
    await until(() => outbox.waiting.length === 0)
    expect(outbox.holds).toBe(holds)
    await close()
  })

  test('are looked for again once the store is back; a batch is never larger than a block', async () => {
    const { outbox, log, close, until } = forwarding()
    outbox.isAway = true
    outbox.portionMax = 10
    outbox.waiting.push(...[1, 2, 3, 4, 5].map((n) => changeOf(n, 'x'.repeat(limits.bodyBytesMax))))
    await until(() => true)
    outbox.isAway = false
    await until(() => outbox.waiting.length === 0)
    expect(log.appended.length).toBeGreaterThanOrEqual(5)
    expect(log.appended.map(({ stamp }) => stamp.sequence)).toEqual(log.appended.map((_, index) => index))
    expect(log.envelopes().map(({ systemProperties }) => systemProperties.correlationId)).toEqual([
      '1',
      '2',
      '3',
      '4',
      '5',
    ])
    await close()
  })

  test('that the log refuses for good are counted, and hold up none behind them', async () => {
    const log = new CapturingLog()
    log.gate = async (index) => {
      if (index === 0) throw new PenstockError('LOG_RECORD_TOO_LARGE', 'too large')
    }
    const { outbox, close, until, counted } = forwarding(new FakeOutbox(), log)
    outbox.portionMax = 1
    outbox.waiting.push(changeOf(1), changeOf(2))
    await until(() => outbox.waiting.length === 0)
    expect(log.envelopes()).toHaveLength(1)
    expect(counted('penstock_twin_events_dropped_total')).toBe(1)
    await close()
  })

  test.each([
    ['has no place for what it confirms', [Number.NaN, 4]],
    ['confirms what it has confirmed before', [4, 4, 5]],
    ['was made anew, and begins at 0 again,', [4, 0, 1]],
  ])('stay in the outbox where the log %s, and are told again [G-1]', async (_name, offsets) => {
    const log = new CapturingLog()
    const answers = [...offsets]
    const append = log.append.bind(log)
    log.append = async (...record) => (await append(...record)) * 0 + (answers.shift() ?? 9)
    const { outbox, close, until } = forwarding(new FakeOutbox(), log)
    outbox.portionMax = 1
    outbox.waiting.push(...offsets.slice(1).map((_, n) => changeOf(n)))
    await until(() => outbox.waiting.length === 0)
    expect(log.envelopes()).toHaveLength(offsets.length)
    await close()
  })

  test.each([
    ['twice', (rows: readonly string[]) => [...rows, ...rows]],
    ['beside one that tells of none', (rows: readonly string[]) => [...rows, 'another']],
  ])('whose row is read %s are not forgotten, and none is told', async (_name, rowsOf) => {
    const outbox = new FakeOutbox()
    const next = outbox.next.bind(outbox)
    let reads = 0
    outbox.next = async () => {
      const { events, rows } = await next()
      reads++
      return { events, rows: rowsOf(rows) }
    }
    const { log, close, until } = forwarding(outbox)
    outbox.waiting.push(changeOf(1))
    await until(() => reads > 2)
    expect([log.appended.length, outbox.waiting.length]).toEqual([0, 1])
    await close()
  })

  test('that are too many for the store are given up, oldest first, and counted', async () => {
    const outbox = new FakeOutbox()
    outbox.isAway = true
    const { close, until, counted } = forwarding(outbox)
    outbox.measure = async () => ({ waiting: limits.twinEventsWaitingMax + 7, oldestAtMs: 1_000 })
    outbox.drop = async (keptMax) => {
      expect(keptMax).toBe(limits.twinEventsWaitingMax)
      return 7
    }
    await until(() => counted('penstock_twin_events_dropped_total') >= 7)
    expect(counted('penstock_twin_events_oldest_seconds')).toBeGreaterThan(1_000)
    await close()
  })
})
