import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { auditConformance } from './audit/audit.conformance.ts'
import { modelsConformance } from './models/models.conformance.ts'
import { openRegistry, type Registry } from './open-registry.ts'
import { deviceContent, registryConformance } from './registry.conformance.ts'
import type { ControlChange } from './store/changes.ts'
import { openPostgresDatabase } from './store/postgres-database.ts'
import { etagText } from './twins/twin-document.ts'
import { twinOutboxConformance } from './twins/twin-outbox.conformance.ts'
import type { IdentityTwin } from './twins/twins.ts'
import { twinConformance } from './twins.conformance.ts'

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

  twinConformance('a PostgreSQL server', async () => {
    const registry = await open()
    return { registry, device: registry.deviceTwins, whole: registry.deviceTwins, close: () => registry.close() }
  })

  auditConformance('a PostgreSQL server', () => server.url)
  modelsConformance('a PostgreSQL server', () => server.url)
  twinOutboxConformance('a PostgreSQL server', () =>
    openPostgresDatabase({ url: server.url, connectionsMax: 5, logger: silentLogger }),
  )

  test('a change made by one process is told to another', async () => {
    const [writer, reader] = await Promise.all([open(), open()])
    const changes: ControlChange[] = []
    reader.changes.onChange((change) => changes.push(change))
    await writer.identities.create(deviceContent('told-across'))
    const told = {
      kind: 'identities',
      changes: [{ change: 'created', deviceId: 'told-across', moduleId: undefined }],
    }
    await expect.poll(() => changes).toContainEqual(told)
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
    await expect.poll(() => changes).toContainEqual({ kind: 'resync' })
    await registry.identities.create(deviceContent('after-cut'))
    await expect.poll(() => changes.at(-1)?.kind).toBe('identities')
    await admin.close()
    await registry.close()
  })

  test('every reported patch that was answered outlives a crash of the server, in its order; none is answered twice [G-8]', async () => {
    const registry = await open()
    const ids = Array.from({ length: 20 }, (_, index) => ({ deviceId: `crashed-${index}`, moduleId: undefined }))
    await registry.identities.importDevices(ids.map(({ deviceId }) => deviceContent(deviceId)))
    /** The number of the last patch that was answered, and its version. */
    const answered = new Map<string, readonly [number, number]>()
    let isOver = false
    let count = 0
    const patches = ids.map(async (id) => {
      for (let n = 1; !isOver; n++) {
        const report = { id, patch: { n, [`k${n % 5}`]: n }, bytes: 20, ifVersion: undefined }
        const version = await registry.deviceTwins.report(report)
        expect(version).toBeGreaterThan(answered.get(id.deviceId)?.[1] ?? 0)
        answered.set(id.deviceId, [n, version])
        count++
      }
    })
    for (let crash = 0; crash < 3; crash++) {
      const before = count
      await expect.poll(() => count).toBeGreaterThan(before + 200)
      await server.kill()
      await server.start()
    }
    const before = count
    await expect.poll(() => count).toBeGreaterThan(before + 200)
    isOver = true
    await Promise.all(patches)
    for (const id of ids) {
      const { reported } = (await registry.twins.get(id)).twin
      expect([reported.value.n, reported.version]).toEqual(answered.get(id.deviceId))
    }
    await registry.close()
  })

  test('two processes that write the same twins lose nothing of one another', async () => {
    const [one, other] = await Promise.all([open(), open()])
    const ids = Array.from({ length: 5 }, (_, index) => ({ deviceId: `shared-${index}`, moduleId: undefined }))
    await one.identities.importDevices(ids.map(({ deviceId }) => deviceContent(deviceId)))
    const write = async (registry: Registry, name: string) => {
      for (let n = 1; n <= 30; n++)
        for (const id of ids) {
          const report = { id, patch: { [`${name}${n}`]: n }, bytes: 10, ifVersion: undefined }
          // As its device does, on the code that it is told.
          while (await registry.deviceTwins.report(report).then(() => false, isConflict)) await wait(1)
        }
    }
    const isConflict = (error: { code: string }) => error.code === 'TWIN_CONFLICT' || Promise.reject(error)
    await Promise.all([write(one, 'a'), write(other, 'b')])
    for (const id of ids) {
      const { reported, version } = (await one.twins.get(id)).twin
      expect([Object.keys(reported.value).length, reported.version, version]).toEqual([60, 61, 62])
    }
    await Promise.all([one.close(), other.close()])
  })

  test('a twin that somebody holds keeps its own writes waiting, in their order, and no others', async () => {
    const registry = await open()
    const admin = await openPostgresDatabase({ url: server.url, connectionsMax: 1, logger: silentLogger })
    const ids = Array.from({ length: 5 }, (_, index) => ({ deviceId: `held-${index}`, moduleId: undefined }))
    await registry.identities.importDevices(ids.map(({ deviceId }) => deviceContent(deviceId)))
    // The etag of a twin counts its writes, from 1.
    const write = (id: IdentityId, n: number) => registry.twins.update(id, { desired: { n } }, etagText(n))
    // The first of them has a row, the second none.
    const [first, second, ...others] = ids as [IdentityId, IdentityId, ...IdentityId[]]
    await write(first, 1)
    const waiting: Promise<IdentityTwin>[] = []
    await admin.transaction(async (queries) => {
      await queries.query('SELECT 1 FROM penstock.twins WHERE device_id = $1 FOR UPDATE', [first.deviceId])
      await queries.query('SELECT 1 FROM penstock.identities WHERE device_id = $1 FOR UPDATE', [second.deviceId])
      for (let n = 2; n < 6; n++) waiting.push(write(first, n))
      waiting.push(write(second, 1))
      for (let n = 1; n < 4; n++) await Promise.all(others.map((id) => write(id, n)))
      expect((await registry.twins.get(first)).twin.desired.value).toEqual({ n: 1 })
      waiting.push(write(first, 6))
    })
    const written = await Promise.all(waiting)
    expect(written.map(({ twin }) => twin.desired.value.n)).toEqual([2, 3, 4, 5, 1, 6])
    expect(written.map(({ twin }) => twin.desired.version)).toEqual([3, 4, 5, 6, 2, 7])
    await Promise.all([registry.close(), admin.close()])
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
      .poll(() => registry.identities.get(created).catch(() => wait(50)))
      .toMatchObject({ etag: created.etag })
    await expect.poll(() => changes).toContainEqual({ kind: 'resync' })
    await registry.close()
  })
})
