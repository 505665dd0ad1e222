import { fileURLToPath } from 'node:url'
import { kafkaClassPath } from './kafka-jars.ts'
import { ServerProcess } from './server-process.ts'

const program = fileURLToPath(new URL('./kafka/CommittedReader.java', import.meta.url))

export interface CommittedRecord {
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: Buffer | undefined
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** Kafka's own Java client, as one that reads what is committed. */
export interface KafkaReader {
  /** All of a topic, partition by partition in its order. */
  read(topic: string): Promise<readonly CommittedRecord[]>
  stop(): Promise<void>
}

/** @param bootstrap `host:port` of brokers, separated by commas */
export async function startKafkaReader(bootstrap: string): Promise<KafkaReader> {
  const java = ['java', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', await kafkaClassPath()]
  const server = new ServerProcess("Kafka's reader", [...java, program, bootstrap])
  try {
    await server.until(() => /ready \d+\n/.test(server.output))
  } catch (error) {
    await server.stop('SIGKILL')
    throw error
  }
  const [, port] = /ready (\d+)/.exec(server.output) ?? []
  return {
    read: async (topic) => {
      const response = await fetch(`http://127.0.0.1:${port}/${topic}`)
      const lines = (await response.text()).split('\n').filter((line) => line !== '')
      return lines.map(recordOf).sort((one, other) => one.partition - other.partition || one.offset - other.offset)
    },
    stop: async () => void (await server.stop('SIGKILL')),
  }
}

function recordOf(line: string): CommittedRecord {
  const [partition, offset, timestamp, key = '-', value = '', headers = ''] = line.split(' ')
  return {
    partition: Number(partition),
    offset: Number(offset),
    timestampMs: Number(timestamp),
    key: key === '-' ? undefined : Buffer.from(key, 'base64url'),
    value: Buffer.from(value, 'base64url'),
    headers: Object.fromEntries(
      headers.split(',').flatMap((header) => {
        const [name = '', text = ''] = header.split('=').map((part) => Buffer.from(part, 'base64url').toString())
        return name === '' ? [] : [[name, text] as const]
      }),
    ),
  }
}
