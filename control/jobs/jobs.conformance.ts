import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Registry } from '#control/open-registry.ts'
import { registryOver } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import type { DeviceResult, JobLease, LeasedJob, NewJob } from './jobs.ts'
import { SqlJobs } from './sql-jobs.ts'

/** What every store of jobs does, whatever it is kept in. @param postgresUrl `undefined`: embedded */
export function jobsConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`jobs on ${name}`, () => {
    let database: Database
    let registry: Registry
    let jobs: SqlJobs
    /** Whose leases lapse at once. */
    let forgetful: SqlJobs
    let made = 0

    beforeAll(async () => {
      const url = postgresUrl()
      database = await openDatabase({ postgresUrl: url, dataDir: undefined, connectionsMax: 8, logger: silentLogger })
      registry = await registryOver(database, systemClock, silentLogger)
      jobs = new SqlJobs(database)
      forgetful = new SqlJobs(database, 0)
    })

    afterAll(() => registry.close())

    const coded = (code: string) => expect.objectContaining({ code })
    const newJob = (changes: Partial<NewJob> = {}): NewJob => ({
      id: `job-${made++}`,
      type: 'scheduleDeviceMethod',
      condition: '*',
      content: '{"methodName":"reboot"}',
      startAtMs: undefined,
      executionSeconds: 60,
      ...changes,
    })
    const claimed = async (by = jobs): Promise<LeasedJob> => {
      const job = await by.claim()
      if (job === undefined) throw new Error('no job is due')
      return job
    }
    /** One that runs here, with these devices. */
    const running = async (deviceIds: readonly string[], by = jobs): Promise<LeasedJob> => {
      await jobs.create(newJob())
      const job = await claimed(by)
      await by.addDevices(job, { after: '', deviceIds, isLast: true })
      return job
    }
    const completed = (deviceId: string): DeviceResult => ({
      deviceId,
      status: 'completed',
      response: { status: 200, payload: '{"ok":true}' },
    })
    const devicesOf = async (jobId: string) => {
      const page = { countMax: 100, continuation: undefined }
      const result = await registry.queries.query(
        `SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '${jobId}'`,
        page,
      )
      return result.kind === 'deviceJob' ? result.items : []
    }
    const statuses = async (jobId: string) =>
      Object.fromEntries((await devicesOf(jobId)).map(({ deviceId, status }) => [deviceId, status]))
    const finished = async (job: JobLease): Promise<void> => {
      for (let ids = await jobs.take(job, '', 1_000); ids.length > 0; ids = await jobs.take(job, '', 1_000))
        await jobs.settleTaken(job, ids.map(completed))
      expect(await jobs.finish(job)).toBe(true)
    }

    test('a job waits for its time, runs, and is completed once each of its devices ended', async () => {
      const startAtMs = Date.now() + 3_600_000
      expect(await jobs.create(newJob({ id: 'later', startAtMs }))).toMatchObject({ status: 'scheduled', startAtMs })
      expect(await jobs.claim()).toBeUndefined()
      await jobs.cancel('later')
      const { id } = await jobs.create(newJob())
      await expect(jobs.create(newJob({ id }))).rejects.toEqual(coded('JOB_EXISTS'))
      await expect(jobs.get('none')).rejects.toEqual(coded('JOB_UNKNOWN'))
      expect((await jobs.get(id)).status).toBe('queued')
      const job = await claimed()
      expect(job).toMatchObject({ jobId: id, reached: '', isWhole: false, hasEnded: false })
      expect(job.leftMs).toBeGreaterThan(50_000)
      expect(await jobs.claim()).toBeUndefined()
      await jobs.addDevices(job, { after: '', deviceIds: ['a', 'b'], isLast: false })
      expect(await jobs.finish(job)).toBe(false)
      await jobs.addDevices(job, { after: 'b', deviceIds: ['c'], isLast: true })
      await expect(jobs.addDevices(job, { after: 'b', deviceIds: ['c'], isLast: true })).rejects.toEqual(
        coded('JOB_LEASE_LOST'),
      )
      expect(await jobs.take(job, '', 2)).toEqual(['a', 'b'])
      expect([await jobs.pending(job, '', 9), await jobs.pending(job, 'c', 9)]).toEqual([['c'], []])
      await jobs.settleTaken(job, [
        completed('a'),
        { deviceId: 'b', status: 'failed', error: { code: 'DeviceNotOnline', description: 'away' } },
      ])
      expect((await jobs.get(id)).statistics).toEqual({ devices: 3, pending: 1, running: 0, succeeded: 1, failed: 1 })
      expect(await jobs.finish(job)).toBe(false)
      await finished(job)
      expect(await jobs.get(id)).toMatchObject({
        status: 'completed',
        statistics: { devices: 3, pending: 0, running: 0, succeeded: 2, failed: 1 },
      })
      expect(await devicesOf(id)).toMatchObject([
        { deviceId: 'a', outcome: { deviceMethodResponse: { status: 200, payload: { ok: true } } } },
        { deviceId: 'b', status: 'failed', error: { code: 'DeviceNotOnline', description: 'away' } },
        { deviceId: 'c', jobId: id, jobType: 'scheduleDeviceMethod', status: 'completed' },
      ])
    })

    test('a device is taken once; one that was not called may be taken again', async () => {
      const job = await running(['a', 'b', 'c', 'd'])
      const taken = await Promise.all([jobs.take(job, '', 2), jobs.take(job, '', 2), jobs.take(job, '', 2)])
      expect(taken.flat().sort()).toEqual(['a', 'b', 'c', 'd'])
      await jobs.settleTaken(job, [{ deviceId: 'b', status: 'pending' }])
      expect(await jobs.take(job, 'b', 2)).toEqual([])
      expect(await jobs.take(job, '', 2)).toEqual(['b'])
      await jobs.settleTaken(job, ['a', 'b', 'c', 'd'].map(completed))
      await expect(jobs.settleTaken(job, [completed('a')])).rejects.toEqual(coded('JOB_LEASE_LOST'))
      await finished(job)
    })

    test('what was taken by a statement whose answer was lost is failed in the end: it may have been called', async () => {
      const job = await running(['a', 'b'])
      await jobs.take(job, '', 1)
      expect(await jobs.finish(job)).toBe(false)
      expect((await jobs.get(job.jobId)).statistics).toMatchObject({ running: 0, failed: 1, pending: 1 })
      await finished(job)
    })

    test('whoever takes a job over fails what was under way, and the one before can do nothing more', async () => {
      const before = await running(['a', 'b', 'c'], forgetful)
      expect(await jobs.take(before, '', 2)).toEqual(['a', 'b'])
      const after = await claimed()
      expect(after.jobId).toBe(before.jobId)
      for (const attempt of [
        () => jobs.settleTaken(before, [completed('a')]),
        () => jobs.renew(before),
        () => jobs.finish(before),
        () => jobs.fail(before, 'late'),
        () => database.transaction((queries) => jobs.settlePending(queries, before, [completed('c')])),
      ])
        await expect(attempt()).rejects.toEqual(coded('JOB_LEASE_LOST'))
      expect([await jobs.take(before, '', 9), await jobs.pending(before, '', 9)]).toEqual([[], []])
      expect(await devicesOf(after.jobId)).toMatchObject([
        { deviceId: 'a', status: 'failed', error: { code: 'Unknown' } },
        { deviceId: 'b', status: 'failed', error: { code: 'Unknown' } },
        { deviceId: 'c', status: 'pending' },
      ])
      await finished(after)
      expect((await jobs.get(after.jobId)).statistics).toMatchObject({ succeeded: 1, failed: 2, running: 0 })
    })

    test('a job that is cancelled, or whose time is over, begins no device more, and keeps what those under way give', async () => {
      for (const end of [(job: JobLease) => jobs.cancel(job.jobId), (job: JobLease) => jobs.fail(job, 'too late')]) {
        const job = await running(['a', 'b'])
        expect(await jobs.take(job, '', 1)).toEqual(['a'])
        await end(job)
        expect([await jobs.take(job, '', 9), await jobs.pending(job, '', 9)]).toEqual([[], []])
        await expect(
          database.transaction((queries) => jobs.settlePending(queries, job, [completed('b')])),
        ).rejects.toEqual(coded('JOB_LEASE_LOST'))
        await jobs.settleTaken(job, [completed('a')])
        await finished(job)
        expect(await statuses(job.jobId)).toEqual({ a: 'completed', b: 'canceled' })
        expect((await jobs.get(job.jobId)).statistics).toMatchObject({ devices: 2, pending: 0, succeeded: 1 })
        const { status } = await jobs.get(job.jobId)
        expect(['cancelled', 'failed']).toContain(status)
        expect((await jobs.cancel(job.jobId)).status).toBe(status)
      }
    })

    test('what is under way of a job that ended is not running for ever, if whoever called is gone', async () => {
      const job = await running(['a'], forgetful)
      await forgetful.take(job, '', 1)
      await forgetful.cancel(job.jobId)
      const after = await claimed()
      expect(after).toMatchObject({ jobId: job.jobId, hasEnded: true })
      expect(await jobs.finish(after)).toBe(true)
      expect(await jobs.get(job.jobId)).toMatchObject({ status: 'cancelled', statistics: { running: 0, failed: 1 } })
      expect(await jobs.claim()).toBeUndefined()
    })

    test('so many jobs run at once, and so many wait; lists go by id, kind and status', async () => {
      const ids = Array.from({ length: limits.jobsActiveMax }, (_, index) => `many-${String(index).padStart(3, '0')}`)
      for (const id of ids) await jobs.create(newJob({ id, type: 'scheduleUpdateTwin', content: '{"tags":{}}' }))
      await expect(jobs.create(newJob())).rejects.toEqual(coded('JOBS_FULL'))
      const held: LeasedJob[] = []
      for (let job = await jobs.claim(); job !== undefined; job = await jobs.claim()) held.push(job)
      expect(held).toHaveLength(limits.jobsAtOnceMax)
      const filter = { type: 'scheduleUpdateTwin', status: 'queued', after: 'many-050' } as const
      expect((await jobs.list(filter, 2)).map(({ id }) => id)).toEqual(['many-051', 'many-052'])
      expect((await jobs.count()).get('running')).toBe(limits.jobsAtOnceMax)
      await jobs.release(held[0] as LeasedJob)
      const again = await claimed()
      expect(again.jobId).toBe(held[0]?.jobId)
      for (const id of ids) await jobs.cancel(id)
      for (const job of [again, ...held.slice(1)]) expect(await jobs.finish(job)).toBe(true)
    })

    test('jobs that ended are forgotten with their devices once they are too old or too many; others never', async () => {
      while (await jobs.sweep());
      const ids = Array.from({ length: limits.jobDevicesSweptAtOnceMax + 1 }, (_, index) =>
        String(index).padStart(5, '0'),
      )
      const old = await running(ids)
      await finished(old)
      const young = await running(['a'])
      await finished(young)
      const active = await running(['a'])
      expect(await jobs.sweep()).toBe(false)
      await database.query(
        `UPDATE penstock.jobs SET ended_at = now() - interval '31 days' WHERE id = $1 AND ended_at IS NOT NULL`,
        [old.jobId],
      )
      expect(await jobs.sweep()).toBe(true)
      expect(await jobs.get(old.jobId)).toBeDefined()
      while (await jobs.sweep());
      await expect(jobs.get(old.jobId)).rejects.toEqual(coded('JOB_UNKNOWN'))
      expect(await devicesOf(old.jobId)).toEqual([])
      await database.query('UPDATE penstock.jobs SET devices = $2 WHERE id = $1', [
        young.jobId,
        limits.jobDevicesKeptMax,
      ])
      await database.query(
        `UPDATE penstock.jobs SET ended_at = ended_at - interval '1 day' WHERE id <> $1 AND ended_at IS NOT NULL`,
        [young.jobId],
      )
      await finished(active)
      while (await jobs.sweep());
      await expect(jobs.get(young.jobId)).rejects.toEqual(coded('JOB_UNKNOWN'))
      await database.query('UPDATE penstock.jobs SET devices = $2 WHERE id = $1', [
        active.jobId,
        limits.jobDevicesKeptMax + 1,
      ])
      while (await jobs.sweep());
      // Whoever began it has had no chance to see what became of it.
      expect((await jobs.get(active.jobId)).status).toBe('completed')
    })

    test('a job that two processes forget at once leaves no devices behind', async () => {
      const count = 2 * limits.jobDevicesSweptAtOnceMax
      const ids = Array.from({ length: count }, (_, index) => String(index).padStart(5, '0'))
      const old = await running(ids)
      await finished(old)
      await database.query(`UPDATE penstock.jobs SET ended_at = now() - interval '31 days' WHERE id = $1`, [old.jobId])
      // At once also where a connection would have to be made first.
      await Promise.all([1, 2, 3, 4].map(() => database.query('SELECT pg_sleep(0.05)')))
      await Promise.all([1, 2, 3, 4].map(() => jobs.sweep()))
      while (await jobs.sweep());
      expect(await database.query('SELECT 1 FROM penstock.job_devices WHERE job_id = $1', [old.jobId])).toEqual([])
    })

    test('devices that a condition picks come page by page, and only devices', async () => {
      for (const [index, hall] of ['a', 'b', 'a', 'a'].entries()) {
        const deviceId = `picked-${index}`
        await registry.identities.create(deviceContent(deviceId))
        await registry.twins.update({ deviceId, moduleId: undefined }, { tags: { picked: hall } }, undefined)
      }
      await registry.identities.create(deviceContent('picked-0', { moduleId: 'm' }))
      const { queries } = registry
      expect(await queries.devicesWhere("tags.picked = 'a'", '', 2)).toEqual(['picked-0', 'picked-2'])
      expect(await queries.devicesWhere("tags.picked = 'a'", 'picked-2', 2)).toEqual(['picked-3'])
      expect(await queries.devicesWhere("deviceId IN ['picked-1']", '', 9)).toEqual(['picked-1'])
      expect((await queries.devicesWhere('*', '', 100)).filter((id) => id.startsWith('picked'))).toHaveLength(4)
      for (const condition of ['', 'tags.a = ', "deviceId = 'a' GROUP BY deviceId", 'true; DROP TABLE x', '* OR true'])
        expect(() => queries.checkCondition(condition), condition).toThrow(coded('REGISTRY_QUERY_INVALID'))
    })
  })
}
