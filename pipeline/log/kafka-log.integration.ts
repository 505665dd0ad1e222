import { describe } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { silentLogger } from '#runtime/logger.ts'
import { killChildren, logConformance } from './log.conformance.ts'
import { type KafkaLogOptions, openLog } from './open-log.ts'

const server = serverFor('Apache Kafka', kafkaMissing)

describe.skipIf(server.skip)(`the log on Apache Kafka ${server.note}`, () => {
  let kafka: KafkaForTests
  const options = (topic: string, partitionCount: number): KafkaLogOptions => ({
    kind: 'kafka',
    brokers: kafka.brokers,
    replicas: 1,
    retention: { ageMsMax: 3_600_000, partitionBytesMax: 1_000_000_000 },
    topic,
    partitionCount,
    logger: silentLogger,
    sessionMs: 2_000,
  })

  logConformance('Kafka', {
    start: async () => {
      kafka = await startKafka()
    },
    stop: async () => {
      killChildren()
      await kafka.stop()
    },
    open: (topic, partitionCount) => openLog(options(topic, partitionCount)),
    options,
    retains: false,
  })
})
