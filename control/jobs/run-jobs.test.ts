import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Methods } from '#control/methods/methods.ts'
import { type Registry, registryOver } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { Pace } from '#runtime/pace.ts'
import { type VirtualClock, virtualClock } from '#runtime/virtual-clock.ts'
import type { CallOutcome } from '#schemas/downlink.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { Job, JobWork, NewJob } from './jobs.ts'
import { runJobs } from './run-jobs.ts'
import { SqlJobs } from './sql-jobs.ts'

const noTransfer = async (): Promise<void> => {}

const answered: CallOutcome = { kind: 'answered', status: 200, payload: '"done"' }

/** Devices whose calls are answered when the test says so. */
class CalledDevices implements Methods {
  readonly called: string[] = []
  readonly #waiting: ((outcome: CallOutcome) => void)[] = []
  most = 0
  answersAtOnce = true

  call({ deviceId }: { readonly deviceId: string }): Promise<CallOutcome> {
    this.called.push(deviceId)
    if (this.answersAtOnce) return Promise.resolve(answered)
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.most = Math.max(this.most, this.#waiting.length)
    })
  }

  get waiting(): number {
    return this.#waiting.length
  }

  answer(outcome: CallOutcome = answered): void {
    for (const resolve of this.#waiting.splice(0)) resolve(outcome)
  }
}

function bound(jobs: SqlJobs): JobWork {
  const names = Object.getOwnPropertyNames(SqlJobs.prototype) as (keyof SqlJobs)[]
  return Object.fromEntries(names.map((name) => [name, jobs[name].bind(jobs)])) as never
}

describe('a process that runs jobs', () => {
  let database: Database
  let registry: Registry
  let jobs: SqlJobs
  let clock: VirtualClock
  let devices: CalledDevices
  const ends: (() => Promise<void>)[] = []
  let made = 0

  beforeAll(async () => {
    database = await openDatabase({
      postgresUrl: undefined,
      dataDir: undefined,
      connectionsMax: 1,
      logger: silentLogger,
    })
    registry = await registryOver(database, systemClock, silentLogger)
    jobs = new SqlJobs(database)
  })

  afterEach(async () => {
    devices.answer()
    for (const end of ends.splice(0)) await ended(end())
    await database.query('DELETE FROM penstock.jobs')
    await database.query('DELETE FROM penstock.identities')
  })

  afterAll(() => registry.close())

  /** Lets time pass until it holds. */
  async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await holds())) {
      await turn()
      clock.step()
    }
  }

  async function ended(ending: Promise<void>): Promise<void> {
    let isOver = false
    void ending.then(() => {
      isOver = true
    })
    await until(() => isOver)
  }

  function start(changes: Partial<JobWork> = {}) {
    const { twins } = registry
    const { devicesWhere } = registry.queries
    const metrics = new Metrics(metricsTable)
    const work = { ...bound(jobs), ...changes }
    const pace = new Pace(100, clock)
    const tools = { work, twins, transfer: noTransfer, methods: devices, devicesWhere, pace, metrics, clock }
    const end = runJobs({ ...tools, logger: silentLogger })
    const once = (): Promise<void> => {
      ends.splice(ends.indexOf(once), 1)
      return ended(end())
    }
    ends.push(once)
    return { stop: end, end: once, metrics }
  }

  async function setUp(count: number): Promise<string[]> {
    clock = virtualClock()
    devices = new CalledDevices()
    const ids = Array.from({ length: count }, (_, index) => `device-${String(index).padStart(4, '0')}`)
    await registry.identities.importDevices(ids.map((id) => deviceContent(id)))
    return ids
  }

  const twinJob: Partial<NewJob> = {
    type: 'scheduleUpdateTwin',
    content: '{"etag":"*","tags":{"floor":2},"properties":{"desired":{"on":true}}}',
  }
  const create = (changes: Partial<NewJob> = {}): Promise<Job> =>
    jobs.create({
      id: `run-${made++}`,
      type: 'scheduleDeviceMethod',
      condition: '*',
      content: '{"methodName":"reboot","payload":{"in":5}}',
      startAtMs: undefined,
      executionSeconds: 3_600,
      ...changes,
    })
  const hasEnded = async (id: string): Promise<boolean> => (await jobs.get(id)).endedAtMs !== undefined
  const twinOf = async (deviceId: string) => (await registry.twins.get({ deviceId, moduleId: undefined })).twin

  test('writes the twin of each device that the condition picks, once, and says which could not be written', async () => {
    const ids = await setUp(25)
    await registry.twins.update({ deviceId: 'device-0003', moduleId: undefined }, { tags: { out: true } }, undefined)
    const { id } = await create({ ...twinJob, condition: 'NOT tags.out = true OR NOT IS_DEFINED(tags.out)' })
    let isDeleted = false
    const asked: string[] = []
    const { metrics } = start({
      // Between the query and the update.
      async pending(lease, after, countMax) {
        asked.push(after)
        const found = await jobs.pending(lease, after, countMax)
        if (!isDeleted) await registry.identities.delete({ deviceId: 'device-0007', moduleId: undefined }, undefined)
        isDeleted = true
        return found
      },
    })
    await until(() => hasEnded(id))
    const statistics = { devices: 24, pending: 0, running: 0, succeeded: 23, failed: 1 }
    expect(await jobs.get(id)).toMatchObject({ status: 'completed', statistics })
    for (const deviceId of ids.filter((each) => each !== 'device-0003' && each !== 'device-0007')) {
      expect(await twinOf(deviceId)).toMatchObject({ version: 3, tags: { floor: 2 }, desired: { version: 2 } })
    }
    expect(await twinOf('device-0003')).toMatchObject({ tags: { out: true } })
    expect((await twinOf('device-0003')).tags).not.toHaveProperty('floor')
    expect(metrics.render([metrics.samples()])).toContain(
      'penstock_jobs_devices_total{type="scheduleUpdateTwin",outcome="failed"} 1',
    )
    // Behind the last one each time, and in the end once from the beginning.
    expect(asked).toEqual(['', 'device-0010', 'device-0020', 'device-0024', ''])
  })

  test('begins one that is due though forgetting another takes long', async () => {
    await setUp(1)
    const { id } = await create(twinJob)
    let forget = (_isMore: boolean): void => {}
    const forgetting = new Promise<boolean>((resolve) => {
      forget = resolve
    })
    start({ sweep: () => forgetting })
    await until(() => hasEnded(id))
    forget(false)
  })

  test('a twin is written once though the answer of the store is lost [G-11]', async () => {
    const ids = await setUp(5)
    const { id } = await create(twinJob)
    const { updateAll } = registry.twins
    let losses = 0
    const twins = {
      updateAll: async (...given: Parameters<typeof updateAll>) => {
        const outcomes = await updateAll.apply(registry.twins, given)
        if (losses++ < 2) throw new PenstockError('STORE_UNAVAILABLE', 'the answer was lost')
        return outcomes
      },
    }
    const { devicesWhere } = registry.queries
    const metrics = new Metrics(metricsTable)
    const pace = new Pace(1_000, clock)
    const tools = { work: jobs, twins, transfer: noTransfer, methods: devices, devicesWhere, pace, metrics, clock }
    ends.push(runJobs({ ...tools, logger: silentLogger }))
    await until(() => hasEnded(id))
    for (const deviceId of ids) expect((await twinOf(deviceId)).desired.version).toBe(2)
    expect((await jobs.get(id)).statistics).toMatchObject({ succeeded: 5, failed: 0 })
  })

  test('calls each device once, so many at a time, and keeps what it answered', async () => {
    const ids = await setUp(limits.jobMethodsAtOnceMax + 20)
    devices.answersAtOnce = false
    const { id } = await create()
    start()
    await until(() => devices.waiting === limits.jobMethodsAtOnceMax)
    expect((await jobs.get(id)).statistics).toMatchObject({ running: limits.jobMethodsAtOnceMax, pending: 20 })
    devices.answer()
    await until(() => devices.waiting === 20)
    devices.answer({ kind: 'answered', status: 500, payload: `"${'x'.repeat(limits.jobAnswerBytesMax)}"` })
    await until(() => hasEnded(id))
    expect(devices.called.sort()).toEqual(ids)
    expect(devices.most).toBe(limits.jobMethodsAtOnceMax)
    const asked = `SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '${id}' AND outcome.deviceMethodResponse.status`
    const outcomes = async (status: number): Promise<unknown[]> => {
      const page = { countMax: 200, continuation: undefined }
      const result = await registry.queries.query(`${asked} = ${status}`, page)
      return result.kind === 'deviceJob' ? result.items.map(({ outcome }) => outcome) : []
    }
    expect(await outcomes(500)).toEqual(Array(20).fill({ deviceMethodResponse: { status: 500 } }))
    expect((await outcomes(200))[0]).toEqual({ deviceMethodResponse: { status: 200, payload: 'done' } })
  })

  test('a device that found no place is called later; one that is not there is not', async () => {
    await setUp(3)
    devices.answersAtOnce = false
    const { id } = await create()
    start()
    await until(() => devices.waiting === 3)
    devices.answer({ kind: 'busy' })
    await until(() => devices.waiting === 3)
    devices.answer({ kind: 'notHere' })
    await until(() => hasEnded(id))
    expect(devices.called).toHaveLength(6)
    expect((await jobs.get(id)).statistics).toMatchObject({ failed: 3, succeeded: 0 })
  })

  test('devices that find no place hold up no others', async () => {
    const ids = await setUp(2 * limits.jobMethodsAtOnceMax)
    devices.answersAtOnce = false
    const { id } = await create()
    start()
    await until(() => devices.waiting === limits.jobMethodsAtOnceMax)
    devices.answer({ kind: 'busy' })
    await until(() => devices.waiting === limits.jobMethodsAtOnceMax)
    expect(devices.called).toEqual(ids)
    devices.answersAtOnce = true
    devices.answer()
    await until(() => hasEnded(id))
    expect((await jobs.get(id)).statistics).toMatchObject({ succeeded: ids.length, failed: 0 })
  })

  test('devices are found once, also where some are pending again as the last ones seem to be done', async () => {
    await setUp(3)
    const { id } = await create()
    let looks = 0
    start({ take: async (...asked) => (looks++ === 0 ? [] : await jobs.take(...asked)) })
    await until(() => hasEnded(id))
    expect(await jobs.get(id)).toMatchObject({ status: 'completed', statistics: { devices: 3, succeeded: 3 } })
  })

  test('calls under way when their process ends are unknown, and never made again; the others are made elsewhere [G-11]', async () => {
    const ids = await setUp(limits.jobMethodsAtOnceMax + 5)
    devices.answersAtOnce = false
    const { id } = await create()
    const first = start()
    await until(() => devices.waiting === limits.jobMethodsAtOnceMax)
    await first.end()
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(limits.jobStopMsMax)
    devices.answersAtOnce = true
    start()
    await until(() => hasEnded(id))
    expect(devices.called.sort()).toEqual(ids)
    expect((await jobs.get(id)).statistics).toMatchObject({ succeeded: 5, failed: limits.jobMethodsAtOnceMax })
  })

  test('calls that are answered while their process ends are kept', async () => {
    await setUp(2)
    devices.answersAtOnce = false
    const { id } = await create()
    const first = start()
    await until(() => devices.waiting === 2)
    // Time stands still until the store has them.
    const ending = first.stop()
    devices.answer()
    while ((await jobs.get(id)).statistics.running > 0) await turn()
    await ended(ending)
    expect((await jobs.get(id)).statistics).toMatchObject({ succeeded: 2, running: 0 })
    start()
    await until(() => hasEnded(id))
  })

  test('a job waits while the store is away, and keeps the answers that came meanwhile', async () => {
    await setUp(3)
    devices.answersAtOnce = false
    const { id } = await create()
    let isAway = false
    const orAway =
      <Given extends unknown[], T>(call: (...given: Given) => Promise<T>) =>
      async (...given: Given): Promise<T> => {
        if (isAway) throw new PenstockError('STORE_UNAVAILABLE', 'away')
        return call.apply(jobs, given)
      }
    const { claim, renew, settleTaken, take } = jobs
    start({ claim: orAway(claim), renew: orAway(renew), settleTaken: orAway(settleTaken), take: orAway(take) })
    await until(() => devices.waiting === 3)
    isAway = true
    devices.answer()
    const backAtMs = clock.monotonicMs() + 2 * limits.jobLeaseMs
    await until(() => clock.monotonicMs() >= backAtMs)
    // Its lease is over, and nobody took the job meanwhile.
    await database.query('UPDATE penstock.jobs SET leased_until = now() WHERE id = $1', [id])
    isAway = false
    await until(() => hasEnded(id))
    expect((await jobs.get(id)).statistics).toMatchObject({ succeeded: 3, failed: 0 })
    expect(devices.called).toHaveLength(3)
  })

  test.each([
    ['cancelled', async (id: string) => void (await jobs.cancel(id)), {}],
    ['failed', async () => {}, { executionSeconds: 2 }],
  ] as const)('of a job that is %s nothing more is begun', async (status, end, changes) => {
    await setUp(limits.jobMethodsAtOnceMax + 5)
    devices.answersAtOnce = false
    const { id } = await create(changes)
    start()
    await until(() => devices.waiting === limits.jobMethodsAtOnceMax)
    await end(id)
    await until(() => hasEnded(id))
    devices.answer()
    await until(async () => (await jobs.get(id)).statistics.running === 0)
    expect(await jobs.get(id)).toMatchObject({
      status,
      statistics: { succeeded: limits.jobMethodsAtOnceMax, pending: 0, failed: 0 },
    })
    expect(devices.called).toHaveLength(limits.jobMethodsAtOnceMax)
  })

  test('a condition that takes too long fails its job, with the reason', async () => {
    await setUp(1)
    const { id } = await create({ condition: "lastActivityTime > 'yesterday'" })
    start()
    await until(() => hasEnded(id))
    expect(await jobs.get(id)).toMatchObject({ status: 'failed', failure: expect.stringContaining('compares a time') })
  })
})
