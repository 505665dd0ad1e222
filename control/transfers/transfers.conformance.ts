import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runJob } from '#control/jobs/run-job.ts'
import { SqlJobs } from '#control/jobs/sql-jobs.ts'
import { type Registry, registryOver } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { SecretsKey } from '#control/store/secrets-key.ts'
import { updateTwins } from '#control/twins/bulk-updates.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { Pace } from '#runtime/pace.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { MemoryContainers } from './memory-containers-fixture.ts'
import { runTransfer } from './run-transfer.ts'
import { SqlTransfers } from './sql-transfers.ts'
import type { NewTransfer } from './transfers.ts'

const place = { endpoint: 'https://account.example/', sasToken: 'sig=secret' }
const secrets = new SecretsKey(Buffer.alloc(32, 1).toString('base64'))
const target = { ...place, container: 'out', blob: 'devices.txt' }

/** What transfers do on every store. @param postgresUrl `undefined`: embedded */
export function transfersConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`transfers on ${name}`, () => {
    let database: Database
    let registry: Registry
    let jobs: SqlJobs
    let containers: MemoryContainers
    let metrics: Metrics<never>

    beforeAll(async () => {
      const url = postgresUrl()
      database = await openDatabase({ postgresUrl: url, dataDir: undefined, connectionsMax: 8, logger: silentLogger })
      registry = await registryOver(database, systemClock, silentLogger, { secrets })
      jobs = new SqlJobs(database)
    })

    beforeEach(async () => {
      containers = new MemoryContainers()
      metrics = new Metrics(metricsTable) as never
      await database.query('DELETE FROM penstock.jobs')
      await database.query('DELETE FROM penstock.identities')
    })

    afterAll(() => registry.close())

    const exported = (changes: Partial<NewTransfer> = {}): NewTransfer => ({
      type: 'export',
      source: undefined,
      target,
      isWithoutKeys: false,
      ...changes,
    })
    const imported: NewTransfer = {
      ...exported({ type: 'import', source: { ...place, container: 'in', blob: 'devices.txt' } }),
      target: { ...target, blob: 'importErrors.log' },
    }

    /** Runs the job that is due, as a process does, until it is done with it. @param stop the process ends */
    async function run(stop = new AbortController().signal, perSecond = 100_000): Promise<void> {
      const job = await jobs.claim()
      if (job === undefined) throw new Error('no job is due')
      const { twins, queries, identities, transfers } = registry
      await runJob(
        job,
        {
          ...{ work: jobs, twins, devicesWhere: queries.devicesWhere, pace: new Pace(perSecond, systemClock) },
          methods: { call: async () => ({ kind: 'offline' }) as never },
          transfer: (running) =>
            runTransfer(running, {
              ...{ work: transfers, identities, queries, containers },
              updateTwins: (given, items) => updateTwins(twins, given, items),
            }),
          ...{ metrics: metrics as never, clock: systemClock, logger: silentLogger },
        },
        stop,
      )
    }

    const fill = (lines: readonly unknown[]): void => {
      const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)))
      containers.blobs.set('in/devices.txt', Buffer.from(text.join('\n')))
    }
    const linesOf = (blob: string) =>
      String(containers.blobs.get(blob))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    const twinOf = async (deviceId: string) => (await registry.twins.get({ deviceId, moduleId: undefined })).twin

    test('an export has every identity with its keys and what services wrote of its twin, devices before modules', async () => {
      await registry.identities.create(deviceContent('b'))
      await registry.identities.create(deviceContent('a', { status: 'disabled', statusReason: 'old' }))
      await registry.identities.create(deviceContent('a', { moduleId: 'm' }))
      const patch = { tags: { hall: 1 }, desired: { on: true } }
      await registry.twins.update({ deviceId: 'a', moduleId: undefined }, patch, undefined)
      const { id } = await registry.transfers.create(exported())
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'queued', percent: 0 })
      await run()
      const lines = linesOf('out/devices.txt')
      expect(lines.map((line) => [line.id, line.moduleId])).toEqual([
        ['a', undefined],
        ['b', undefined],
        ['a', 'm'],
      ])
      const [a, b] = lines
      expect(a).toMatchObject({
        ...{ status: 'disabled', statusReason: 'old', twinETag: 'AAAAAAAAAAI=' },
        ...{ tags: { hall: 1 }, properties: { desired: { on: true } } },
        authentication: { type: 'sas', symmetricKey: { primaryKey: expect.any(String) } },
      })
      for (const field of ['importMode', 'tags', 'properties', 'twinETag']) expect(b).not.toHaveProperty(field)
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'completed', percent: 100, done: 3 })
      expect(containers.openCount).toBe(0)
    })

    test('an export without keys has none, and one of nothing is an empty blob', async () => {
      await registry.transfers.create(exported())
      await run()
      expect(containers.blobs.get('out/devices.txt')).toEqual(Buffer.alloc(0))
      await registry.identities.create(deviceContent('a'))
      await registry.transfers.create(exported({ isWithoutKeys: true }))
      await run()
      const symmetricKey = { primaryKey: null, secondaryKey: null }
      expect(linesOf('out/devices.txt')[0].authentication).toMatchObject({ type: 'sas', symmetricKey })
    })

    test('what was exported is imported as it was', async () => {
      const made = await registry.identities.create(deviceContent('a'))
      await registry.identities.create(deviceContent('a', { moduleId: 'm' }))
      await registry.twins.update({ deviceId: 'a', moduleId: undefined }, { tags: { hall: 1 } }, undefined)
      await registry.transfers.create(exported())
      await run()
      containers.blobs.set('in/devices.txt', containers.blobs.get('out/devices.txt') ?? Buffer.alloc(0))
      await registry.identities.delete({ deviceId: 'a', moduleId: undefined }, undefined)
      const { id } = await registry.transfers.create(imported)
      await run()
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'completed', done: 2, refused: 0 })
      const again = await registry.identities.get({ deviceId: 'a', moduleId: undefined })
      expect(again?.authentication).toEqual(made.authentication)
      expect((await twinOf('a')).tags).toEqual({ hall: 1 })
      expect(containers.blobs.get('out/importErrors.log')).toEqual(Buffer.alloc(0))
    })

    test('each line is done or refused by itself, and what was refused is told with its line', async () => {
      await registry.identities.create(deviceContent('known'))
      const stale = { importMode: 'updateTwinIfMatchETag', twinETag: 'AAAAAAAAAAk=' }
      fill([
        '\ufeff{"id":"new","tags":{"hall":1}}\r',
        { id: 'known', importMode: 'create' },
        '',
        'no JSON',
        '[1]',
        { id: 'known', importMode: 'updateTwin', properties: { desired: { on: true } } },
        { id: 'known', ...stale, tags: { a: 1 } },
        { id: 'none', importMode: 'delete' },
        { id: 'x', importMode: 'replace' },
        { id: 'zero\0', importMode: 'delete' },
        { id: 'zero\0' },
        { id: 'x', status: { toString: 1 } },
        { id: 'x', authentication: { type: { toString: 1 } } },
        { id: 'known', status: 'disabled' },
        { id: 'gone', importMode: 'create' },
        { id: 'gone', importMode: 'delete' },
      ])
      const { id } = await registry.transfers.create(imported)
      await run()
      expect(linesOf('out/importErrors.log')).toMatchObject([
        { line: 2, deviceId: 'known', errorCode: 409_001, operation: 'create' },
        { line: 4, errorCode: 400_006, errorStatus: 'it is not JSON' },
        { line: 5, errorCode: 400_006, errorStatus: 'it is not a JSON object' },
        { line: 7, deviceId: 'known', errorCode: 412_001 },
        { line: 8, deviceId: 'none', errorCode: 404_001 },
        { line: 9, deviceId: 'x', errorCode: 400_004, operation: 'replace' },
        { line: 10, errorCode: 400_004, operation: 'delete' },
        { line: 11, errorCode: 400_004 },
        { line: 12, errorCode: 400_004, errorStatus: expect.stringMatching(/^status/) },
        { line: 13, errorCode: 400_004, errorStatus: expect.stringMatching(/^authentication.type/) },
      ])
      expect(await registry.transfers.get(id)).toMatchObject({
        status: 'completed',
        done: 5,
        refused: 10,
        percent: 100,
      })
      expect((await twinOf('new')).tags).toEqual({ hall: 1 })
      expect((await twinOf('known')).desired.value).toEqual({ on: true })
      const known = await registry.identities.get({ deviceId: 'known', moduleId: undefined })
      expect(known?.status).toBe('disabled')
    })

    test('an import goes on behind the last line that was carried out, whatever is lost [G-11]', async () => {
      const ids = Array.from({ length: 12 }, (_, index) => `d${String(index).padStart(2, '0')}`)
      fill(ids.map((id) => ({ id, importMode: 'create', tags: { id } })))
      const { id } = await registry.transfers.create(imported)
      const { transaction } = database
      // Every second commit is lost, and of every third one only the answer.
      let count = 0
      database.transaction = async (work) => {
        const turn = count++ % 6
        if (turn === 1) throw new PenstockError('STORE_UNAVAILABLE', 'gone')
        if (turn === 3)
          return transaction.call(database, async (queries) => {
            await work(queries)
            throw new PenstockError('STORE_UNAVAILABLE', 'gone before the commit')
          }) as never
        const result = await transaction.call(database, work)
        if (turn === 5) throw new PenstockError('STORE_UNAVAILABLE', 'the answer was lost')
        return result as never
      }
      try {
        for (let runs = 0; (await registry.transfers.get(id)).endedAtMs === undefined; runs++) {
          expect(runs).toBeLessThan(100)
          await run(undefined, 40).catch(() => {})
          await database.query('UPDATE penstock.jobs SET leased_until = now() WHERE ended_at IS NULL')
        }
      } finally {
        database.transaction = transaction
      }
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'completed', done: 12, refused: 0 })
      for (const deviceId of ids) expect((await twinOf(deviceId)).tags).toEqual({ id: deviceId })
    })

    const failureOf = async (id: string) => (await registry.transfers.get(id)).failure

    test('a line that is longer than a part fails the import, and keeps what came before', async () => {
      fill([{ id: 'short' }, 'no JSON', `{"id":"${'x'.repeat(limits.transferReadBytes)}"}`])
      const { id } = await registry.transfers.create(imported)
      await run()
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'failed', done: 1, refused: 1 })
      expect(await failureOf(id)).toMatch(/^line 3 of devices.txt is longer than/)
      expect(linesOf('out/importErrors.log')).toMatchObject([{ line: 2 }])
    })

    /** As if so much had been refused before that the log has room for one block more. */
    async function almostFilled(id: string): Promise<void> {
      const blocks = limits.transferBlocksMax - 1
      for (let index = 0; index < blocks; index++)
        containers.blocks.set(`out/importErrors.log ${id} ${index}`, Buffer.alloc(0))
      const { at } = (await registry.transfers.read(id)) ?? {}
      await database.query('UPDATE penstock.transfers SET position = $2 WHERE job_id = $1', [
        id,
        JSON.stringify({ ...at, blocks }),
      ])
    }

    test('an import of more refusals than a blob has room for ends before the next line, and tells of all before it', async () => {
      const count = 700
      fill(Array.from({ length: count }, (_, index) => ({ id: `${'x'.repeat(100)}${index}`, importMode: 'update' })))
      const { id } = await registry.transfers.create(imported)
      await almostFilled(id)
      const stop = new AbortController()
      containers.gate = (call) => {
        if (call === 'commit') stop.abort()
      }
      await run(stop.signal)
      expect((await registry.transfers.get(id)).status).toBe('running')
      // Whoever goes on with it ends it in the same way.
      await database.query('UPDATE penstock.jobs SET leased_until = now()')
      containers.gate = () => {}
      await run()
      const { status, done, refused, failure } = await registry.transfers.get(id)
      expect([status, done]).toEqual(['failed', 0])
      expect(refused).toBeGreaterThan(0)
      expect(refused).toBeLessThan(count)
      expect(failure).toBe(
        `line ${refused + 1} of devices.txt is not carried out: a blob has no room for more refusals`,
      )
      expect(linesOf('out/importErrors.log').map(({ line }) => line)).toEqual(
        Array.from({ length: refused }, (_, index) => index + 1),
      )
    })

    test('an import whose refusals just fill a blob is whole', async () => {
      fill([{ id: 'known' }, 'no JSON'])
      const { id } = await registry.transfers.create(imported)
      await almostFilled(id)
      await run()
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'completed', done: 1, refused: 1 })
      expect(linesOf('out/importErrors.log')).toMatchObject([{ line: 2 }])
    })

    test('more refusals than the store gathers are blocks of the log, all of them in their order', async () => {
      const count = 700
      fill(Array.from({ length: count }, (_, index) => ({ id: `${'x'.repeat(100)}${index}`, importMode: 'update' })))
      const { id } = await registry.transfers.create(imported)
      await run()
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'completed', done: 0, refused: count })
      expect(containers.blocks.size).toBeGreaterThan(1)
      expect(linesOf('out/importErrors.log').map(({ line }) => line)).toEqual(
        Array.from({ length: count }, (_, index) => index + 1),
      )
    })

    test('a blob that is not there, or is changed while it is read, fails the import with the reason', async () => {
      const { id: none } = await registry.transfers.create(imported)
      await run()
      expect(await failureOf(none)).toBe('there is no devices.txt in the container')
      fill(
        Array.from({ length: 9_000 }, (_, index) => ({
          id: `d${index}`,
          importMode: 'none',
          tags: { a: 'x'.repeat(99) },
        })),
      )
      const { id } = await registry.transfers.create(imported)
      let reads = 0
      containers.gate = (call) => {
        if (call.startsWith('read') && ++reads === 2) fill([{ id: 'other' }])
      }
      await run()
      expect([await failureOf(id), reads]).toEqual(['devices.txt was changed', 2])
      expect(containers.openCount).toBe(0)
    })

    test('one runs at a time, and the next one once it is done, whoever ran it', async () => {
      const first = await registry.transfers.create(exported())
      const second = await registry.transfers.create(exported())
      const job = await jobs.claim()
      expect([job?.jobId, await jobs.claim()]).toEqual([first.id, undefined])
      await database.query('UPDATE penstock.jobs SET leased_until = now() WHERE id = $1', [first.id])
      await run()
      expect((await registry.transfers.get(first.id)).status).toBe('completed')
      await run()
      expect((await registry.transfers.get(second.id)).status).toBe('completed')
      expect((await registry.transfers.list(9)).map(({ id }) => id)).toEqual([second.id, first.id])
      expect(await registry.jobs.list({ type: undefined, status: undefined, after: '' }, 9)).toEqual([])
    })

    test('one that is cancelled ends between two of its commits, and those that only services of devices see are left alone', async () => {
      fill(Array.from({ length: 20 }, (_, index) => ({ id: `d${index}` })))
      const { id } = await registry.transfers.create(imported)
      await registry.jobs.cancel(id).catch(() => {})
      expect((await registry.transfers.get(id)).status).toBe('queued')
      containers.gate = (call) => (call.startsWith('read') ? registry.transfers.cancel(id) : undefined)
      await run()
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'cancelled', done: 0 })
      expect(await registry.identities.devicesAfter('', 9)).toEqual([])
      expect(await jobs.claim()).toBeUndefined()
      expect((await registry.transfers.read(id))?.transfer.target.sasToken).toBe('sig=secret')
      await registry.transfers.sweep()
      expect(await registry.transfers.read(id)).toBeUndefined()
      await expect(registry.transfers.cancel('none')).rejects.toMatchObject({ code: 'JOB_UNKNOWN' })
    })

    test('a container that does not answer is asked again, as long as the job goes on, and what it refuses ends the job', async () => {
      let asked = 0
      containers.gate = (call) => {
        if (call === 'commit' && ++asked < 3) throw new PenstockError('ENDPOINT_UNAVAILABLE', 'away')
      }
      const { id } = await registry.transfers.create(exported())
      await run()
      expect([(await registry.transfers.get(id)).status, asked]).toEqual(['completed', 3])
      const { id: cancelled } = await registry.transfers.create(exported())
      asked = 0
      containers.gate = async () => {
        if (++asked === 2) await registry.transfers.cancel(cancelled)
        throw new PenstockError('ENDPOINT_UNAVAILABLE', 'away')
      }
      await run()
      expect([(await registry.transfers.get(cancelled)).status, asked]).toEqual(['cancelled', 2])
      containers.gate = () => {
        throw new PenstockError('ENDPOINT_HELD', 'answered 403\0')
      }
      const { id: refused } = await registry.transfers.create(exported())
      await run()
      expect(await failureOf(refused)).toBe('answered 403')
    })

    test('signatures lie sealed in the store, and one sealed with another key ends the job with the reason', async () => {
      const { id } = await registry.transfers.create(exported())
      const rows = await database.query('SELECT secrets FROM penstock.transfers')
      expect(rows).toEqual([{ secrets: expect.stringMatching(/^sealed:1:[\w-]+$/) }])
      const otherKey = new SecretsKey(Buffer.alloc(32, 2).toString('base64'))
      const { read } = registry.transfers
      registry.transfers.read = (jobId) => new SqlTransfers(database, otherKey).read(jobId)
      await run().finally(() => {
        registry.transfers.read = read
      })
      expect(await failureOf(id)).toMatch(/^the secret transfers\.[\w-]+ cannot be read/)
    })

    /**
     * Two processes run one job, since the first stands still until another has its lease.
     * @param at its first call of this name waits, and lands when the other's call `until` is under way
     */
    async function overtaken(at: string, until: string, meanwhile: () => Promise<unknown>): Promise<void> {
      let land: () => void = () => {}
      const landing = new Promise<void>((resolve) => {
        land = resolve
      })
      let first: Promise<void> | undefined
      let late: Promise<void> = Promise.resolve()
      await new Promise<void>((stands) => {
        let isLate = false
        containers.gate = async (call) => {
          if (call === at && !isLate) {
            isLate = true
            stands()
            await landing
          } else if (call === until && first !== undefined) {
            land()
            await first
          }
        }
        late = run()
      })
      await meanwhile()
      await database.query('UPDATE penstock.jobs SET leased_until = now()')
      first = late
      await run()
      await late
    }

    test('a block of an export that lands after its process lost the job is not in the blob', async () => {
      const ids = Array.from({ length: limits.transferPageMax + 9 }, (_, index) => `d${String(index).padStart(4, '0')}`)
      await registry.identities.importDevices(ids.map((id) => deviceContent(id)))
      const { id } = await registry.transfers.create(exported())
      await overtaken('put 0', 'put 1', async () => {
        for (const deviceId of ids.slice(0, 5))
          await registry.identities.delete({ deviceId, moduleId: undefined }, undefined)
      })
      expect((await registry.transfers.get(id)).status).toBe('completed')
      // The first block of the late one ends five devices earlier than the one in whose place it was meant to be.
      expect(linesOf('out/devices.txt').map((line) => line.id)).toEqual(ids.slice(5))
    })

    test('a block of refusals that lands after its process lost the job is not in the log', async () => {
      const count = 700
      fill(Array.from({ length: count }, (_, index) => ({ id: `${'x'.repeat(100)}${index}`, importMode: 'update' })))
      const { id } = await registry.transfers.create(imported)
      await overtaken('put 0', 'put 1', async () => {})
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'completed', refused: count })
      expect(linesOf('out/importErrors.log').map(({ line }) => line)).toEqual(
        Array.from({ length: count }, (_, index) => index + 1),
      )
    })

    test('a list of blocks that lands after its process lost the job leaves the blob to whoever has it', async () => {
      for (const moduleId of [undefined, 'm']) await registry.identities.create(deviceContent('a', { moduleId }))
      const { id } = await registry.transfers.create(exported())
      const add = () => registry.identities.create(deviceContent('a', { moduleId: 'n' }))
      await overtaken('commit', 'commit', add)
      expect((await registry.transfers.get(id)).status).toBe('completed')
      expect(linesOf('out/devices.txt').map((line) => line.moduleId)).toEqual([undefined, 'm', 'n'])
    })

    test('an export that is broken off anywhere gives the same blob', async () => {
      const count = limits.transferPageMax + 3
      const ids = Array.from({ length: count }, (_, index) => `d${String(index).padStart(4, '0')}`)
      await registry.identities.importDevices(ids.map((id) => deviceContent(id)))
      await registry.identities.create(deviceContent('d0000', { moduleId: 'm' }))
      const { id } = await registry.transfers.create(exported())
      for (const call of ['put 0', 'put 1', 'commit']) {
        const stop = new AbortController()
        containers.gate = (asked) => {
          if (asked === call) stop.abort()
        }
        await run(stop.signal)
        expect((await registry.transfers.get(id)).status, call).toBe('running')
        await database.query('UPDATE penstock.jobs SET leased_until = now()')
      }
      containers.gate = () => {}
      // All is done, and nobody said yet that the job is finished.
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'running', percent: 100 })
      await run()
      expect(linesOf('out/devices.txt').map((line) => line.id)).toEqual([...ids, 'd0000'])
      expect(await registry.transfers.get(id)).toMatchObject({ status: 'completed', done: count + 1 })
    })
  })
}
