/** Fetches the jars of Kafka, Artemis and the hub's SDKs for Java ahead of the tests: `node infra/run.js infra/testbed/fetch-jars.ts`. */
import { artemisMissing, fetchArtemis } from './artemis.ts'
import { javaClientsClassPath, javaSdkMissing } from './java-sdk.ts'
import { kafkaClassPath, kafkaMissing } from './kafka-jars.ts'

async function fetched(name: string, missing: string | undefined, classPath: () => Promise<string>): Promise<void> {
  const text = missing === undefined ? `${name} in ${await classPath()}` : `no ${name}: ${missing}`
  process.stdout.write(`testbed: ${text}\n`)
}

if (process.argv[1] === import.meta.filename) {
  await fetched('Kafka', kafkaMissing(), kafkaClassPath)
  await fetched('Artemis', artemisMissing(), fetchArtemis)
  await fetched("the hub's SDKs for Java", javaSdkMissing(), javaClientsClassPath)
}
