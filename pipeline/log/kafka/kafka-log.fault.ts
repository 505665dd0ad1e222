import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { type BackOff, retry } from '#runtime/retry.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { stampOf } from '../log.conformance.ts'
import type { Assignment, Log, LogRecord } from '../log.ts'

const server = serverFor('Apache Kafka', kafkaMissing)
const leaderPauses: BackOff = { firstMs: 50, factor: 1, maxMs: 50, jitter: 0 }

describe.skipIf(server.skip)(`the log on three Kafka brokers, one of which fails ${server.note}`, () => {
  let kafka: KafkaForTests
  const open = (topic: string): Promise<Log> =>
    openLog({
      kind: 'kafka',
      brokers: kafka.brokers,
      replicas: 3,
      retention: { ageMsMax: 3_600_000, partitionBytesMax: 1_000_000_000 },
      topic,
      partitionCount: 6,
      logger: silentLogger,
      sessionMs: 6_000,
    })

  beforeAll(async () => {
    // A dead broker is noticed after 2 s instead of 9 s.
    kafka = await startKafka({
      brokers: 3,
      settings: { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '300' },
    })
  })
  afterAll(() => kafka.stop())

  it.each(['killed', 'paused'] as const)(
    'no append is lost, doubled or out of order while a broker is %s and comes back [G-1] [G-2] [G-3]',
    async (fault) => {
      const log = await open(`penstock.${fault}`)
      let appending = true
      const confirmed = Array.from({ length: log.partitionCount }, () => [] as { offset: number; value: string }[])
      const appenders = confirmed.map(async (own, partition) => {
        let index = 0
        const one = async (): Promise<void> => {
          while (appending) {
            const value = `${partition}:${index}`
            const offset = await log.append(partition, stampOf(index++), Buffer.from(value.padEnd(20_000)))
            own.push({ offset, value })
          }
        }
        await Promise.all([one(), one(), one()])
      })
      const until = async (count: number): Promise<void> => {
        const target = confirmed.map((own) => own.length + count)
        while (confirmed.some((own, partition) => own.length < (target[partition] ?? 0)))
          await new Promise(setImmediate)
      }
      await until(20)
      if (fault === 'killed') await kafka.killBroker(1)
      else kafka.pauseBroker(1, true)
      await until(20)
      if (fault === 'killed') await kafka.startBroker(1)
      else kafka.pauseBroker(1, false)
      await until(20)
      appending = false
      await Promise.all(appenders)

      for (const [partition, own] of confirmed.entries()) {
        const records = await readAll(log, partition)
        const values = records.map(({ value }) => Buffer.from(value).toString().trimEnd())
        expect(values).toEqual(Array.from({ length: own.length }, (_, index) => `${partition}:${index}`))
        for (const { offset, value } of own) expect(values[offset]).toBe(value)
      }
      await log.close()
    },
    120_000,
  )

  it('a group goes on, from its last position, when any one broker was killed', async () => {
    const log = await open('penstock.group')
    for (let index = 0; index < 60; index++) await log.append(index % 6, stampOf(index), Buffer.from(String(index)))
    const delivered = new Map<number, number>()
    let failure: unknown
    let wake = () => {}
    const deliver = async (assignment: Assignment): Promise<void> => {
      let offset = assignment.position?.offset ?? 0
      // A commit may have been taken though its answer was lost: where the group stands is what counts.
      delivered.set(assignment.partition, offset)
      wake()
      while (!assignment.revoked.aborted) {
        const records = await answered(() => assignment.read(offset, 1, 1_000))
        if (records.length === 0) continue
        await answered(() => assignment.commit({ offset: offset + 1, metadata: `after ${offset}` }))
        delivered.set(assignment.partition, ++offset)
        wake()
      }
    }
    const member = await log.join('g', (assignment) => {
      deliver(assignment).catch((error: unknown) => {
        // Its next owner goes on.
        if (isPenstockError(error, 'LOG_GENERATION_STALE')) return
        failure = error
        wake()
      })
    })
    const until = async (count: number): Promise<void> => {
      while (delivered.size < 6 || [...delivered.values()].some((next) => next < count)) {
        if (failure !== undefined) throw failure
        await new Promise<void>((resolve) => (wake = resolve))
      }
    }
    await until(10)
    for (const [round, broker] of [0, 1, 2].entries()) {
      await kafka.killBroker(broker)
      for (let partition = 0; partition < 6; partition++) await log.append(partition, stampOf(0), Buffer.from('more'))
      await until(11 + round)
      await kafka.startBroker(broker)
    }
    expect((await answered(() => log.positions('g'))).map((position) => position?.offset)).toEqual([
      13, 13, 13, 13, 13, 13,
    ])
    await member.close()
    await log.close()
  }, 180_000)
})

/** Asks again, as a worker does, while no broker leads: a busy machine may take long to choose one. */
const answered = <T>(ask: () => Promise<T>): Promise<T> => retry(ask, { backOff: leaderPauses, clock: systemClock })

async function readAll(log: Log, partition: number): Promise<LogRecord[]> {
  const { next = 0 } = (await answered(() => log.ranges()))[partition] ?? {}
  const records: LogRecord[] = []
  while (records.length < next) records.push(...(await answered(() => log.read(partition, records.length, 8_000_000))))
  return records
}
