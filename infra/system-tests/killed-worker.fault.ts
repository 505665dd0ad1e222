/** Workers that are killed between any two steps, with each kind of endpoint: on its real server, by the server's own content. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { artemisMissing } from '#infra/testbed/artemis.ts'
import { azuriteMissing } from '#infra/testbed/azurite.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { mosquittoMissing } from '#infra/testbed/mosquitto.ts'
import { natsMissing } from '#infra/testbed/nats.ts'
import { postgresMissing } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { seaweedMissing } from '#infra/testbed/seaweedfs.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import type { KilledWorkerOptions } from './killed-worker-fixture.ts'
import {
  artemis,
  azureBlob,
  clickhouse,
  files,
  type HeldMessage,
  type KilledSubject,
  kafka,
  mosquitto,
  nats,
  postgres,
  s3,
  webhook,
} from './killed-worker-subjects-fixture.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
const topic = 'test'
const partitionCount = 2
const batchesPerPartition = 12
const messagesPerBatch = 10
/** At least one at each step; more by hand: KILLS=50 */
const killsMax = Number(process.env.KILLS ?? 3)
const program = join(import.meta.dirname, 'killed-worker-fixture.ts')

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
        const body = [partition, sequence, index].map((each) => String(each).padStart(2, '0')).join('/')
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

async function killUntilDone({ endpoint, home, contents }: KilledSubject): Promise<{ readonly kills: number }> {
  const random = seededRandom(seed)
  const expected = partitionCount * batchesPerPartition * messagesPerBatch
  let kills = 0
  for (;;) {
    const killWhen = (['after', 'before', random.below(40)] as const)[kills % 3] ?? 'after'
    const killAt = kills < killsMax ? random.integer(1, 3) : Number.MAX_SAFE_INTEGER
    const options: KilledWorkerOptions = { dataDir, topic, partitionCount, endpoint, home, killAt, killWhen }
    const running = fork(program, [JSON.stringify(options)])
    child = running
    const exit = once(running, 'exit')
    let isOver = false
    void exit.then(() => {
      isOver = true
    })
    // All may be stored, and the position of the last not yet: a worker that is told to end writes it down.
    const isThere = async () => new Set((await contents()).map(({ body }) => body)).size >= expected
    await expect.poll(async () => isOver || (await isThere()), { timeout: 60_000 }).toBe(true)
    // It may kill itself before it hears of it.
    running.send('close', () => undefined)
    const [, signal] = await exit
    if (signal !== 'SIGKILL') return { kills }
    kills++
  }
}

/** Fills the log, has it delivered by workers that are killed, and gives what the server holds then. */
async function heldAfterKills(
  open: (dataDir: string) => Promise<KilledSubject>,
): Promise<{ readonly bodies: readonly string[]; readonly held: readonly HeldMessage[] }> {
  const bodies = await fillLog()
  const subject = await open(dataDir)
  try {
    const { kills } = await killUntilDone(subject)
    // The third, which is during an insert, may come when all is stored.
    expect(kills).toBeGreaterThanOrEqual(2)
    return { bodies, held: await subject.contents() }
  } finally {
    await subject.stop()
  }
}

const alwaysThere = { skip: false, note: '' }
const atomicKinds = [
  ['files', files, alwaysThere],
  ['objects of SeaweedFS', s3, serverFor('SeaweedFS', seaweedMissing)],
  ['blobs of Azurite', azureBlob, serverFor('Azurite', azuriteMissing)],
  ['rows of ClickHouse', clickhouse, alwaysThere],
  ['records of Kafka', kafka, serverFor('Apache Kafka', kafkaMissing)],
  ['rows of PostgreSQL', postgres, serverFor('PostgreSQL', postgresMissing)],
] as const
const otherKinds = [
  ['a webhook', webhook, alwaysThere],
  ['a stream of NATS', nats, serverFor('NATS', natsMissing)],
  ['topics of mosquitto', mosquitto, serverFor('mosquitto', mosquittoMissing)],
  ['a queue of Artemis', artemis, serverFor('ActiveMQ Artemis', artemisMissing)],
] as const

describe.each(atomicKinds)('%s', (_kind, open, { skip, note }) => {
  test.skipIf(skip)(
    `hold each message once though workers are killed at any step (SEED=${seed}) [G-2] [G-10] ${note}`,
    async () => {
      const { bodies, held } = await heldAfterKills(open)
      expect(held.map(({ body }) => body)).toEqual(bodies)
    },
    240_000,
  )
})

describe.each(otherKinds)('%s', (_kind, open, { skip, note }) => {
  test.skipIf(skip)(
    `gets each message at least once, in order and under its id, though workers are killed at any step (SEED=${seed}) [G-10] ${note}`,
    async () => {
      const { bodies, held } = await heldAfterKills(open)
      const first = new Map<string, string | undefined>()
      for (const { body, id } of held) {
        if (first.has(body)) expect(id).toBe(first.get(body))
        else first.set(body, id)
      }
      for (let partition = 0; partition < partitionCount; partition++) {
        const isOf = (body: string) => body.startsWith(`0${partition}/`)
        expect([...first.keys()].filter(isOf)).toEqual(bodies.filter(isOf))
      }
      // Brokers that leave out repetitions are also told when it was taken.
      for (const [body, id] of first)
        expect(id?.replace(/\/\d{13}$/, '')).toBe(`${topic}/${body.split('/').map(Number).join('/')}`)
    },
    240_000,
  )
})
