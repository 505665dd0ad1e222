import { setImmediate } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import type { Log } from '#pipeline/log/log.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { simulatedBatch } from './simulation/simulated-batch.ts'
import { SimulatedWarehouse } from './simulation/simulated-warehouse.ts'
import { startWorker, type Worker } from './worker.ts'

/** Lets nothing be read for a while: what a worker sees then is the new topic, as long as it has become by now. */
class HeldReads {
  #gate = Promise.resolve()
  #open = () => {}
  readonly #underWay = new Set<Promise<unknown>>()

  of(log: Log): Log {
    const join: Log['join'] = (group, onAssigned) =>
      log.join(group, (assignment) =>
        onAssigned({
          ...assignment,
          read: async (...read) => {
            await this.#gate
            const reading = assignment.read(...read)
            this.#underWay.add(reading)
            return await reading.finally(() => this.#underWay.delete(reading))
          },
        }),
      )
    return new Proxy(log, {
      get: (target, name) => {
        if (name === 'join') return join
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  async hold(): Promise<void> {
    this.#gate = new Promise((resolve) => (this.#open = resolve))
    await Promise.allSettled(this.#underWay)
  }

  release(): void {
    this.#open()
  }
}

const server = serverFor('Apache Kafka', kafkaMissing)

describe.skipIf(server.skip)(`a Kafka topic that is deleted and made again ${server.note}`, () => {
  let kafka: KafkaForTests
  let admin: ReturnType<kafkajs.Kafka['admin']>
  let sink: SimulatedWarehouse
  const open: (Log | Worker)[] = []
  let id = 0

  beforeAll(async () => {
    kafka = await startKafka()
    admin = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING }).admin()
    await admin.connect()
  })
  afterAll(async () => {
    await admin?.disconnect()
    await kafka?.stop()
  })
  afterEach(async () => {
    for (const opened of open.splice(0).reverse()) await opened.close()
  })

  async function opened(topic: string): Promise<Log> {
    const log = await openLog({
      kind: 'kafka',
      brokers: kafka.brokers,
      replicas: 1,
      retention: { ageMsMax: 3_600_000, partitionBytesMax: 1_000_000_000 },
      topic,
      partitionCount: 1,
      logger: silentLogger,
      sessionMs: 6_000,
    })
    open.push(log)
    return log
  }

  async function work(log: Log): Promise<Worker> {
    const worker = await startWorker({
      log,
      group: 'g',
      destination: sink,
      deadLetters: { put: () => Promise.reject(new Error('no letter is expected')), lettered: async () => new Map() },
      logger: silentLogger,
      metrics: new Metrics(metricsTable),
      insertDelayMs: 20,
      insertBeginMsMax: 2_000,
    })
    open.push(worker)
    worker.finished.catch(() => {})
    return worker
  }

  function warehouse(): SimulatedWarehouse {
    return new SimulatedWarehouse({
      clock: systemClock,
      random: seededRandom(1),
      faults: { lossShare: 0, burnShare: 0 },
      poison: new Set(),
      insertMsMax: 3_000,
      tokenMsMax: 5_000,
      requestMsMax: 1_000,
    })
  }

  const rows = () => sink.ranges.flatMap(({ messages }) => messages.map((message) => message.id))
  const untilRows = async (count: number) => {
    while (rows().length < count) await setImmediate()
  }
  const append = async (log: Log): Promise<number> => {
    const sequence = id++
    const enqueuedAtMs = Date.now()
    const stamp = { schemaVersion: 1, edgeId: 'edge', epoch: 1, sequence, messageCount: 1 }
    return await log.append(
      0,
      { ...stamp, enqueuedAtMsFirst: enqueuedAtMs, enqueuedAtMsLast: enqueuedAtMs },
      simulatedBatch(sequence, 1, enqueuedAtMs),
    )
  }
  const deleteTopic = (topic: string) => admin.deleteTopics({ topics: [topic] })
  const isGone = async (topic: string) => {
    while ((await admin.listTopics()).includes(topic)) await setImmediate()
  }

  it.each([
    ['fewer', 3],
    ['as many', 6],
    ['more', 12],
  ])(
    'what is acknowledged becomes rows, once and in order, while a worker lives, with %s batches than before [G-1] [G-2]',
    async (name, count) => {
      const topic = `anew.${name.replace(' ', '-')}`
      sink = warehouse()
      id = 0
      const edge = await opened(topic)
      const reads = new HeldReads()
      await work(reads.of(await opened(topic)))
      for (let index = 0; index < 6; index++) await append(edge)
      await untilRows(6)
      await reads.hold()
      await deleteTopic(topic)
      await isGone(topic)
      // An edge that does not know yet: its batches wait, or go to the new topic.
      const waiting = Promise.all(Array.from({ length: count }, () => append(edge)))
      await opened(topic)
      expect((await waiting).toSorted((one, other) => one - other)).toEqual(
        Array.from({ length: count }, (_, at) => at),
      )
      reads.release()
      await untilRows(6 + count)
      await append(edge)
      await untilRows(6 + count + 1)
      expect(rows()).toEqual(Array.from({ length: 6 + count + 1 }, (_, at) => at))
    },
  )

  it('while no worker lives: the next one begins at its start', async () => {
    const topic = 'anew.alone'
    sink = warehouse()
    id = 0
    const edge = await opened(topic)
    const first = await work(await opened(topic))
    for (let index = 0; index < 3; index++) await append(edge)
    await untilRows(3)
    await first.close()
    await deleteTopic(topic)
    await isGone(topic)
    const again = await opened(topic)
    for (let index = 0; index < 5; index++) await append(again)
    await work(again)
    await untilRows(8)
    expect(rows()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('with another number of partitions ends the worker with the reason', async () => {
    const topic = 'anew.wider'
    sink = warehouse()
    id = 0
    const edge = await opened(topic)
    const worker = await work(await opened(topic))
    await append(edge)
    await untilRows(1)
    await deleteTopic(topic)
    await isGone(topic)
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })
    await expect(worker.finished).rejects.toMatchObject({ code: 'LOG_PARTITIONS_MISMATCH' })
  })
})
