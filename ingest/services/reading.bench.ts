/**
 * What reading costs, without sockets: messages on a log in memory become frames for one reader. Beside it what every reader of the log
 * pays: records read, decompressed and walked. Prints one round as JSON (`loadtest/bench/e-reading.bench.ts` makes a record of several).
 *
 *   node ingest/services/reading.bench.ts [messages]
 */
import { createSasToken } from '#control/auth/sas-token.ts'
import { attachFrame, putToken, rawClient } from '#ingest/amqp/raw-client-fixture.ts'
import { BlockReader, blocksOf } from '#pipeline/routing/select/block-reader.ts'
import { EnvelopeScan } from '#pipeline/routing/select/envelope-scan.ts'
import { frame, performatives } from '#runtime/amqp/frames.ts'
import { uint } from '#runtime/amqp/write-values.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import { appendBatch, serviceKey, servicesFixture } from './services-fixture.ts'

const messages = Number(process.argv[2] ?? 500_000)
const perRecord = 1_000
const body = Buffer.alloc(48, 'A')
const fixture = servicesFixture({ partitions: 1 })
for (let count = 0; count < messages; count += perRecord)
  await appendBatch(
    fixture.memoryLog,
    0,
    Array.from({ length: perRecord }, (_, index) => ({
      ...{ deviceId: `device-${index % 100}`, body, enqueuedAtMs: 1_700_000_000_000 + count },
      systemProperties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    })),
  )

/** @returns nanoseconds of CPU a message, those of the thread pool too */
async function cpuNs(run: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(start)
  return ((user + system) * 1_000) / messages
}

async function decode(): Promise<void> {
  const [reader, scan] = [new BlockReader(), new EnvelopeScan()]
  let count = 0
  for (let offset = 0; offset < messages / perRecord; ) {
    for (const { value } of await fixture.memoryLog.read(0, offset, limits.readingBytesMax)) {
      for (const block of await reader.read(value, blocksOf(value))) {
        scan.open(block)
        for (; scan.next(); count++) scan.readMaps()
      }
      offset++
    }
  }
  assert(count === messages, 'every message is decoded')
}

async function read(): Promise<void> {
  const client = rawClient(fixture, fixture.open)
  const sent = () => fixture.count('penstock_edge_events_read_total')
  const until = sent() + messages
  client.begin()
  client.say(attachFrame(0, 0, '$cbs'))
  await client.answers()
  const expiresAtMs = Date.now() + 3_600_000
  const token = createSasToken({ scope: 'localhost', key: serviceKey, policyName: 'service', expiresAtMs })
  client.say(putToken(0, 'localhost', token))
  client.transport.write = () => {}
  client.say(attachFrame(0, 1, 'telemetry/ConsumerGroups/g/Partitions/0', { receives: true }))
  await client.answers()
  const window = [uint(0), uint(0x7fff_ffff), uint(0), uint(0x7fff_ffff)]
  client.say(frame(0, performatives.flow, [...window, uint(1), uint(0), uint(messages)]))
  // Seldom: to add up all metrics costs more than a slice.
  while (sent() < until) await new Promise((resolve) => setTimeout(resolve, 20))
  client.connection.onClosed()
}

for (const warmUp of [decode, read]) await warmUp()
process.stdout.write(`${JSON.stringify({ decodeNs: await cpuNs(decode), readNs: await cpuNs(read) })}\n`)
