/** Fetches Kafka's jars ahead of the tests: `node infra/run.js infra/testbed/fetch-kafka.ts`. */
import { kafkaClassPath, kafkaMissing } from './kafka-jars.ts'

if (process.argv[1] === import.meta.filename) {
  const missing = kafkaMissing()
  process.stdout.write(
    `testbed: ${missing === undefined ? `Kafka in ${await kafkaClassPath()}` : `no Kafka: ${missing}`}\n`,
  )
}
