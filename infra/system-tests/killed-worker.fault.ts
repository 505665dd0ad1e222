/** Workers that are killed between any two steps, with each kind that stores exactly once: on its real server, by the server's own content. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { azuriteMissing, startAzurite } from '#infra/testbed/azurite.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { seaweedMissing, startSeaweed } from '#infra/testbed/seaweedfs.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { azureSettings, TestContainer } from '#pipeline/sinks/azure-blob/container-fixture.ts'
import { kafkaSettings, startTestTopics } from '#pipeline/sinks/kafka/topic-fixture.ts'
import { contentsOf, objectSettings } from '#pipeline/sinks/objects/object-sink-fixture.ts'
import type { EndpointToOpen } from '#pipeline/sinks/open-endpoint.ts'
import { s3Settings, TestBucket } from '#pipeline/sinks/s3/bucket-fixture.ts'
import { silentLogger } from '#runtime/logger.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import type { KilledWorkerOptions } from './killed-worker-fixture.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
const topic = 'test'
const partitionCount = 2
const batchesPerPartition = 12
const messagesPerBatch = 10
/** Of which the first are sure to happen: at the first insert, whatever the seed. */
const killsMin = 3
const killsMax = 8
const program = join(import.meta.dirname, 'killed-worker-fixture.ts')

/** A kind with its server, empty. */
interface Subject {
  readonly endpoint: EndpointToOpen
  /** Bodies that are stored, partition by partition and in order. */
  bodies(): Promise<readonly string[]>
  stop(): Promise<void>
}

let dataDir: string
let child: ChildProcess | undefined
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-killed-worker-'))
})
afterEach(async () => {
  child?.kill('SIGKILL')
  rmSync(dataDir, { recursive: true, force: true })
})

async function fillLog(): Promise<string[]> {
  const log = await openLog({ kind: 'lmdb', topic, partitionCount, dataDir, logger: silentLogger })
  const enqueuedAtMs = Date.UTC(2026, 0, 2)
  const bodies: string[] = []
  for (let partition = 0; partition < partitionCount; partition++)
    for (let sequence = 0; sequence < batchesPerPartition; sequence++) {
      const messages = Array.from({ length: messagesPerBatch }, (_, index) => {
        const body = `${partition}/${sequence}/${index}`
        bodies.push(body)
        const deviceId = `device-${partition}`
        return {
          bytes: envelopeBytes({
            deviceId,
            enqueuedAtMs,
            body: Buffer.from(body),
            properties: {},
            systemProperties: {},
          }),
        }
      })
      const times = { enqueuedAtMsFirst: enqueuedAtMs, enqueuedAtMsLast: enqueuedAtMs }
      const stamp = { schemaVersion: 1, edgeId: 'edge', epoch: 1, sequence, messageCount: messagesPerBatch, ...times }
      await log.append(partition, stamp, batchFromMessages(messages))
    }
  await log.close()
  return bodies
}

async function killUntilDone({ endpoint, bodies }: Subject): Promise<{ readonly kills: number }> {
  const random = seededRandom(seed)
  const expected = partitionCount * batchesPerPartition * messagesPerBatch
  let kills = 0
  for (;;) {
    const isSure = kills < killsMin
    const killWhen = (['before', 'after', 'after', random.below(40)] as const)[random.below(isSure ? 3 : 4)] ?? 'after'
    const killAt = isSure ? 1 : kills < killsMax ? random.integer(1, 3) : Number.MAX_SAFE_INTEGER
    const options: KilledWorkerOptions = { dataDir, topic, partitionCount, endpoint, killAt, killWhen }
    const running = fork(program, [JSON.stringify(options)])
    child = running
    const exit = once(running, 'exit')
    let isOver = false
    void exit.then(() => {
      isOver = true
    })
    // All may be stored, and the position of the last not yet: a worker that is told to end writes it down.
    await expect.poll(async () => isOver || (await bodies()).length >= expected, { timeout: 60_000 }).toBe(true)
    // It may kill itself before it hears of it.
    running.send('close', () => undefined)
    const [, signal] = await exit
    if (signal !== 'SIGKILL') return { kills }
    kills++
  }
}

const file = async (): Promise<Subject> => {
  const folder = join(dataDir, 'objects')
  mkdirSync(folder)
  const objects = async () => {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const paths = files.map(({ parentPath, name }) => join(parentPath, name)).filter((path) => path.endsWith('.json'))
    return new Map(paths.map((path) => [path, readFileSync(path)]))
  }
  return {
    endpoint: { name: 'x', kind: 'file', settings: { ...objectSettings, folder } },
    bodies: async () => await bodiesOf(await objects()),
    stop: async () => {},
  }
}

const bodiesOf = async (objects: ReadonlyMap<string, Buffer>): Promise<readonly string[]> =>
  (await contentsOf(objects, 'json')).map(({ body }) => body)

const s3 = async (): Promise<Subject> => {
  const server = await startSeaweed()
  const bucket = new TestBucket(server, 'telemetry')
  await bucket.create()
  const settings = { ...s3Settings(server, {}) }
  return {
    endpoint: { name: 'x', kind: 's3', settings },
    bodies: async () => await bodiesOf(await bucket.objects()),
    stop: () => server.stop(),
  }
}

const azureBlob = async (): Promise<Subject> => {
  const server = await startAzurite()
  const container = new TestContainer(server, 'telemetry')
  await container.create()
  const settings = { ...azureSettings(server, {}) }
  const endpoint = { name: 'x', kind: 'azureBlob', settings } as const
  return { endpoint, bodies: async () => await bodiesOf(await container.objects()), stop: () => server.stop() }
}

const kafka = async (): Promise<Subject> => {
  const topics = await startTestTopics()
  await topics.create('telemetry', partitionCount)
  const settings = { ...kafkaSettings(topics.secured.kafka.bootstrap, 'telemetry') }
  // Of each partition of the log there is one device.
  const bodies = async () => {
    const messages = await topics.messages('telemetry')
    const ofDevices = Array.from({ length: partitionCount }, (_, partition) =>
      messages.filter(({ deviceId }) => deviceId === `device-${partition}`),
    )
    return ofDevices.flat().map(({ body }) => body)
  }
  return { endpoint: { name: 'x', kind: 'kafka', settings }, bodies, stop: () => topics.stop() }
}

const seaweed = serverFor('SeaweedFS', seaweedMissing)
const azurite = serverFor('Azurite', azuriteMissing)
const kafkaServer = serverFor('Apache Kafka', kafkaMissing)

describe.each([
  ['files', file, { skip: false, note: '' }],
  ['objects of SeaweedFS', s3, seaweed],
  ['blobs of Azurite', azureBlob, azurite],
  ['records of Kafka', kafka, kafkaServer],
] as const)('%s', (_kind, open, { skip, note }) => {
  test.skipIf(skip)(
    `hold each message once though workers are killed at any step (SEED=${seed}) [G-2] [G-10] ${note}`,
    async () => {
      const bodies = await fillLog()
      const subject = await open()
      try {
        const { kills } = await killUntilDone(subject)
        expect(kills).toBeGreaterThanOrEqual(killsMin)
        expect(await subject.bodies()).toEqual(bodies)
      } finally {
        await subject.stop()
      }
    },
    240_000,
  )
})
