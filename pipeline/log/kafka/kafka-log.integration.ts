import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { createCluster, faultType, kafkaBackOff } from '#pipeline/kafka/client.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { retry } from '#runtime/retry.ts'
import { killChildren, logConformance } from '../log.conformance.ts'
import type { Assignment } from '../log.ts'
import type { KafkaLogOptions } from './../log-options.ts'
import { metadataOf, protocolName } from './division.ts'
import { openKafka } from './open-kafka.ts'

const server = serverFor('Apache Kafka', kafkaMissing)

describe.skipIf(server.skip)(`the log on Apache Kafka ${server.note}`, () => {
  let kafka: KafkaForTests
  const options = (topic: string, partitionCount: number | undefined): KafkaLogOptions => ({
    kind: 'kafka',
    brokers: kafka.brokers,
    replicas: 1,
    retention: { ageMsMax: 3_600_000, partitionBytesMax: 1_000_000_000 },
    topic,
    partitionCount,
    logger: silentLogger,
    sessionMs: 2_000,
  })

  beforeAll(async () => {
    kafka = await startKafka()
  })
  afterAll(() => kafka.stop())

  logConformance('Kafka', {
    start: async () => {},
    stop: async () => killChildren(),
    open: (topic, partitionCount) => openLog(options(topic, partitionCount)),
    options,
    retains: false,
  })

  it('a member that is closed in its first join leaves at once, though another one that is gone is waited for', async () => {
    const kafkaClient = openKafka(kafka.brokers, {}, silentLogger)
    const cluster = createCluster(kafkaClient)
    await cluster.connect()
    const session = { sessionTimeout: 30_000, rebalanceTimeout: 30_000 }
    const groupProtocols = [{ name: protocolName, metadata: metadataOf('closing', []) }]
    const gone = { groupId: 'closing', memberId: '', ...session, groupProtocols }
    // A broker that has just started coordinates nothing yet.
    const [coordinator, { memberId, generationId: groupGenerationId }] = await retry(
      async () => {
        const broker = await cluster.findGroupCoordinator({ groupId: 'closing' })
        return [broker, await broker.joinGroup(gone)] as const
      },
      { backOff: kafkaBackOff, clock: systemClock, isRetryable: () => true },
    )
    const log = await openLog({ ...options('closing', 1), sessionMs: 30_000 })
    const given: Assignment[] = []
    const member = await log.join('closing', (assignment) => void given.push(assignment))
    const heartbeat = () => coordinator.heartbeat({ groupId: 'closing', groupGenerationId, memberId })
    // It is waited for as soon as the other one joins.
    await expect.poll(() => heartbeat().then(String, faultType)).toBe('REBALANCE_IN_PROGRESS')
    await member.close()
    // Else the other one would have been given all by now.
    expect(given).toEqual([])
    expect(await heartbeat().then(String, faultType)).toBe('REBALANCE_IN_PROGRESS')
    const { members } = await coordinator.joinGroup({ ...gone, memberId })
    expect(members.map(({ memberId: name }) => name)).toEqual([memberId])
    await coordinator.leaveGroup({ groupId: 'closing', memberId })
    await log.close()
    await cluster.disconnect()
  })

  it('a topic made to keep all its records does, and one that does not is named with its repair [G-5]', async () => {
    const repairs: unknown[] = []
    const logger = {
      ...silentLogger,
      warn: (_: string, fields?: Record<string, unknown>) => void repairs.push(fields?.repair),
    }
    const open = async (topic: string, change: Partial<KafkaLogOptions>) =>
      (await openLog({ ...options(topic, 1), logger, ...change })).close()
    await open('letters', { retention: 'none' })
    await open('letters', { retention: 'none' })
    expect(repairs).toEqual([])
    await open('limited', {})
    await open('limited', { retention: 'none' })
    const alter = 'kafka-configs.sh --alter --entity-type topics --entity-name limited --add-config'
    expect(repairs).toEqual([`${alter} retention.ms=-1`, `${alter} retention.bytes=-1`])
  })
})
