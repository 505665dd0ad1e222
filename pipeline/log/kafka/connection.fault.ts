import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { stampOf } from '../log.conformance.ts'
import type { Assignment } from '../log.ts'

const server = serverFor('Apache Kafka', kafkaMissing)

describe.skipIf(server.skip)(`the log on a Kafka whose connections break ${server.note}`, () => {
  let kafka: KafkaForTests
  let proxy: Server
  let port = 0
  /** Every connection breaks in the middle of its next answer, this many times. */
  let cuts = 0

  beforeAll(async () => {
    proxy = createServer((client) => {
      const [host = '', brokerPort] = (kafka.brokers[0] ?? '').split(':')
      const broker = connect(Number(brokerPort), host)
      const end = () => {
        client.resetAndDestroy()
        broker.resetAndDestroy()
      }
      client
        .on('data', (chunk) => broker.write(chunk))
        .on('error', end)
        .on('close', end)
      broker.on('error', end).on('close', end)
      broker.on('data', (chunk) => {
        if (cuts === 0) client.write(chunk)
        else {
          cuts--
          client.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), end)
        }
      })
    })
    await once(proxy.listen(0, '127.0.0.1'), 'listening')
    const address = proxy.address()
    port = typeof address === 'object' && address !== null ? address.port : 0
    kafka = await startKafka({ settings: { 'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}` } })
  })
  afterAll(async () => {
    await kafka?.stop()
    proxy.close()
  })

  it('goes on after answers that end in the middle: no append is lost, doubled or out of order [G-2] [G-3]', async () => {
    const log = await openLog({
      kind: 'kafka',
      brokers: [`127.0.0.1:${port}`],
      replicas: 1,
      retention: { ageMsMax: 3_600_000, partitionBytesMax: 1_000_000_000 },
      topic: 'penstock.cut',
      partitionCount: 1,
      logger: silentLogger,
      sessionMs: 6_000,
    })
    const read: string[] = []
    const readAll = async ({ read: readFrom, revoked }: Assignment) => {
      while (!revoked.aborted) {
        const records = await readFrom(read.length, 1_000_000, 200).catch(() => [])
        for (const { value } of records) read.push(Buffer.from(value).toString())
        await new Promise(setImmediate)
      }
    }
    const member = await log.join('readers', (assignment) => void readAll(assignment))
    const expected = Array.from({ length: 60 }, (_, index) => `value ${index}`)
    for (const [index, value] of expected.entries()) {
      if (index % 5 === 4) cuts = 1 + (index % 3)
      expect(await log.append(0, stampOf(index), Buffer.from(value))).toBe(index)
    }
    cuts = 0
    while (read.length < expected.length) await new Promise(setImmediate)
    expect(read).toEqual(expected)
    await member.close()
    await log.close()
  })
})
