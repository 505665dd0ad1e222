import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { freePorts } from '#runtime/free-ports.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { KafkaLogOptions } from './../log-options.ts'

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

  it('is found through a broker that is named by its IPv6 address', async () => {
    const [host = '', port = ''] = (kafka.brokers[0] ?? '').split(':')
    const proxy = createServer((client) => {
      const broker = connect(Number(port), host)
      client.pipe(broker).pipe(client)
      const end = () => {
        client.destroy()
        broker.destroy()
      }
      client.on('error', end).on('close', end)
      broker.on('error', end).on('close', end)
    })
    await once(proxy.listen(0, '::1'), 'listening')
    const address = proxy.address()
    const proxyPort = typeof address === 'object' && address !== null ? address.port : 0
    try {
      expect(await open({ brokers: [`[::1]:${proxyPort}`], topic: 'six' })).toEqual([])
    } finally {
      proxy.close()
    }
  })
})

it('brokers that cannot be reached are said within seconds, long before the log gives up', async () => {
  const [port = 0] = await freePorts(1)
  let told = (_: unknown) => {}
  const warned = new Promise((resolve) => (told = resolve))
  const logger = { ...silentLogger, warn: (text: string, fields?: Record<string, unknown>) => told([text, fields]) }
  const opening = openLog({
    kind: 'kafka',
    brokers: [`127.0.0.1:${port}`],
    topic: 'nowhere',
    partitionCount: 1,
    replicas: 1,
    retention: 'none',
    logger,
  })
  let ended = false
  opening.catch(() => {
    ended = true
  })
  expect(await warned).toMatchObject(['Kafka cannot be used yet; trying again', { brokers: `127.0.0.1:${port}` }])
  expect(ended).toBe(false)
  await expect(opening).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' })
})
