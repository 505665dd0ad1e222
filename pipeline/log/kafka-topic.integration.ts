import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { silentLogger } from '#runtime/logger.ts'
import { type KafkaLogOptions, openLog } from './open-log.ts'

const server = serverFor('Apache Kafka', kafkaMissing)

describe.skipIf(server.skip)(`a topic on Apache Kafka ${server.note}`, () => {
  let kafka: KafkaForTests
  beforeAll(async () => {
    kafka = await startKafka()
  })
  afterAll(() => kafka.stop())

  /** Opens the topic and closes it again; what it warned of. */
  async function open(change: Partial<KafkaLogOptions>): Promise<unknown[]> {
    const warnings: unknown[] = []
    const logger = {
      ...silentLogger,
      warn: (_: string, fields?: Record<string, unknown>) => void warnings.push(fields?.differs),
    }
    const log = await openLog({
      kind: 'kafka',
      brokers: kafka.brokers,
      topic: 'settings',
      partitionCount: 2,
      replicas: 1,
      retention: { ageMsMax: 3_600_000, partitionBytesMax: 1_000_000_000 },
      logger,
      ...change,
    })
    await log.close()
    return warnings
  }

  it('that exists is compared with the settings, which it was made with or not', async () => {
    expect(await open({})).toEqual([])
    expect(await open({})).toEqual([])
    expect(await open({ retention: { ageMsMax: 7_200_000, partitionBytesMax: 1_000_000_000 } })).toEqual([
      'retention.ms is 3600000, wanted is 7200000',
    ])
    expect(await open({ replicas: 3 })).toEqual([
      'its partitions have 1 replicas, 3 are wanted',
      'min.insync.replicas is 1, wanted is 2',
    ])
  })
})
