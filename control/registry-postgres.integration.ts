import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { silentLogger } from '#runtime/logger.ts'
import { openRegistry } from './open-registry.ts'
import { deviceContent, registryConformance } from './registry.conformance.ts'
import type { ControlChange } from './store/changes.ts'
import { openPostgresDatabase } from './store/postgres-database.ts'

const postgres = serverFor('PostgreSQL', postgresMissing)

describe.skipIf(postgres.skip)(`on a PostgreSQL server ${postgres.note}`, () => {
  let server: PostgresForTests
  const open = () =>
    openRegistry({ postgresUrl: server.url, dataDir: undefined, connectionsMax: 5, logger: silentLogger })

  beforeAll(async () => {
    server = await startPostgres()
  })

  afterAll(() => server.stop())

  test('processes that start at once agree on the tables', async () => {
    const registries = await Promise.all(Array.from({ length: 4 }, open))
    await Promise.all(registries.map((registry) => registry.close()))
  })

  registryConformance('a PostgreSQL server', open)

  test('a change made by one process is told to another', async () => {
    const [writer, reader] = await Promise.all([open(), open()])
    const changes: ControlChange[] = []
    reader.changes.onChange((change) => changes.push(change))
    await writer.identities.create(deviceContent('told-across'))
    const told = {
      kind: 'identities',
      changes: [{ change: 'created', deviceId: 'told-across', moduleId: undefined }],
    }
    await expect.poll(() => changes, { timeout: 1_000 }).toContainEqual(told)
    await Promise.all([writer.close(), reader.close()])
  })

  test('a listener whose connection is cut says so once it listens again, and hears what comes after', async () => {
    const registry = await open()
    const changes: ControlChange[] = []
    registry.changes.onChange((change) => changes.push(change))
    const admin = await openPostgresDatabase({ url: server.url, connectionsMax: 1, logger: silentLogger })
    const cut = await admin.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstock-listen'",
    )
    expect(cut.length).toBeGreaterThan(0)
    await expect.poll(() => changes, { timeout: 10_000 }).toContainEqual({ kind: 'resync' })
    await registry.identities.create(deviceContent('after-cut'))
    await expect.poll(() => changes.at(-1)?.kind).toBe('identities')
    await admin.close()
    await registry.close()
  })

  test('a server that stops is STORE_UNAVAILABLE, and everything goes on when it is back', async () => {
    const registry = await open()
    const created = await registry.identities.create(deviceContent('outlives'))
    const changes: ControlChange[] = []
    registry.changes.onChange((change) => changes.push(change))
    await server.kill()
    await expect(registry.identities.get(created)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await expect(registry.identities.create(deviceContent('meanwhile'))).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    })
    await expect(open()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await server.start()
    await expect
      .poll(() => registry.identities.get(created).catch(() => wait(50)), { timeout: 20_000 })
      .toMatchObject({ etag: created.etag })
    await expect.poll(() => changes, { timeout: 20_000 }).toContainEqual({ kind: 'resync' })
    await registry.close()
  })
})
