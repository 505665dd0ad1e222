/**
 * Patches of reported properties a core: read, checked, merged and committed in groups, as a process does that owns its devices' twins, and
 * all CPU time of this process and of the store. Against one UPDATE a patch over the same store, 64 at a time.
 * Reach: T-1 on PostgreSQL ≥ 8 × one UPDATE each and ≥ 12,000; T-2 embedded ≥ 6,000. Then the same over MQTT from as many devices, of
 * which the CPU time is that of edges, control and store.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generatedKeys } from '#control/identities/identity.ts'
import { type Registry, registryOver } from '#control/open-registry.ts'
import type { Database } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { patchFrom } from '#control/twins/patch-json.ts'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { cpuSecondsOfTree } from '#runtime/processes.ts'
import { limits } from '#schemas/limits.ts'
import { type BenchArguments, BenchRecord, benchArguments } from './bench-record.ts'
import { RegisteredPenstock } from './registered-penstock.ts'

const deviceCount = 10_000
/** Patches without an answer: what 10,000 devices that report every few seconds have under way. */
const groupedAtOnce = 2_000
const singlyAtOnce = 64
/** Over MQTT: below the 10 patches a second that a device may send, and more than two cores take. */
const saturatingRate = 40_000
const connectRate = 1_000
/** Ten thousand registered devices are asked for in the store, each. */
const connectMsMax = 120_000
/** Of a patch, about as `patchOf` has it. */
const bodyBytes = 64
const idAt = (index: number): string => `device-${String(index).padStart(6, '0')}`

/** Ten values in eight keys, of which a patch has three. */
const wholeOf = (n: number): string =>
  JSON.stringify({
    temperature: n % 90,
    humidity: (n * 7) % 100,
    pressure: 1000 + (n % 40),
    uptime: n,
    mode: 'auto',
    network: { rssi: -(n % 90), ip: '10.0.0.7' },
    firmware: { version: '1.4.2', channel: 'stable' },
    door: n % 2 === 0,
  })
const patchOf = (n: number): Buffer =>
  Buffer.from(JSON.stringify({ temperature: n % 90, uptime: n, network: { rssi: -(n % 90) } }))

/** Keeps `atOnce` calls under way for `seconds`. @returns how many a CPU second */
async function rateOf(seconds: number, atOnce: number, call: (n: number) => Promise<unknown>): Promise<number> {
  const endMs = systemClock.monotonicMs() + seconds * 1_000
  const before = cpuSecondsOfTree(process.pid)
  let begun = 0
  let done = 0
  const one = async (): Promise<void> => {
    while (systemClock.monotonicMs() < endMs) {
      await call(begun++)
      done++
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return done / (cpuSecondsOfTree(process.pid) - before)
}

/** Takes events from the outbox as fast as it can, as who forwards them does. @returns ends it */
function takeEvents({ twinOutbox }: Registry): () => Promise<void> {
  let isWanted = true
  const taking = take()
  return () => {
    isWanted = false
    return taking
  }

  async function take(): Promise<void> {
    while (isWanted) {
      const portion = await twinOutbox.next()
      if (portion.rows.length === 0) await sleep(systemClock, limits.twinEventsLookMs)
      else await twinOutbox.forget(portion)
    }
  }
}

async function measure(database: Database, name: string, record: BenchRecord, rounds: number, seconds: number) {
  const registry = await registryOver(database, systemClock, silentLogger)
  const telling = await registryOver(database, systemClock, silentLogger, { tellsTwinChanges: true })
  const reportTo =
    ({ deviceTwins }: Registry) =>
    (n: number): Promise<number> => {
      const bytes = patchOf(n)
      const id = { deviceId: idAt((n * 7_919) % deviceCount), moduleId: undefined }
      return deviceTwins.report({ id, patch: patchFrom(bytes), bytes: bytes.length, ifVersion: undefined })
    }
  const updateOne = (n: number): Promise<unknown> =>
    database.query(
      `UPDATE penstock.twins SET reported = reported || $2::text::jsonb, reported_version = reported_version + 1, version = version + 1
       WHERE device_id = $1 AND module_id = ''`,
      [idAt((n * 7_919) % deviceCount), patchOf(n).toString()],
    )
  try {
    const shared = {
      moduleId: undefined,
      status: 'enabled',
      statusReason: undefined,
      authentication: generatedKeys,
    } as const
    const others = { iotEdge: false, deviceScope: undefined, parentScope: undefined, managedBy: undefined }
    for (let first = 0; first < deviceCount; first += 1_000) {
      const ids = Array.from({ length: 1_000 }, (_, index) => idAt(first + index))
      await registry.identities.importDevices(ids.map((deviceId) => ({ deviceId, ...shared, ...others })))
      await Promise.all(
        ids.map((deviceId, n) => {
          const bytes = Buffer.from(wholeOf(n))
          const id = { deviceId, moduleId: undefined }
          return registry.deviceTwins.report({ id, patch: patchFrom(bytes), bytes: bytes.length, ifVersion: undefined })
        }),
      )
    }
    for (let round = 0; round < rounds; round++) {
      record.add(`${name}, in groups: patches/s a core`, await rateOf(seconds, groupedAtOnce, reportTo(registry)))
      record.add(
        `${name}, in groups and told: patches/s a core`,
        await rateOf(seconds, groupedAtOnce, reportTo(telling)),
      )
      await database.query('TRUNCATE penstock.twin_events')
      const stopTaking = takeEvents(telling)
      record.add(
        `${name}, in groups, told and taken: patches/s a core`,
        await rateOf(seconds, groupedAtOnce, reportTo(telling)),
      )
      await stopTaking()
      await database.query('TRUNCATE penstock.twin_events')
      record.add(`${name}, one UPDATE each: patches/s a core`, await rateOf(seconds, singlyAtOnce, updateOne))
    }
  } finally {
    await registry.close()
  }
}

/** As much as is taken of what the devices' quota allows. */
async function measureOverMqtt(
  server: PostgresForTests | undefined,
  name: string,
  record: BenchRecord,
  args: BenchArguments,
) {
  const environment = server === undefined ? {} : { PENSTOCK_POSTGRES_URL: server.url }
  const penstock = await RegisteredPenstock.start(environment, () => server?.cpuSeconds() ?? 0)
  const load = { kind: 'reported', connections: deviceCount, connectRate, connectMsMax, seconds: args.seconds } as const
  try {
    for (let round = 0; round < args.rounds; round++) {
      const { result, perCore } = await penstock.load({ ...load, run: `t1r${round}`, rate: saturatingRate, bodyBytes })
      const answered = result.exchanges[0]?.answered.summary
      record.add(`${name}, over MQTT: patches/s a core`, perCore)
      record.add(`${name}, over MQTT: answered, p99, ms`, answered?.p99Ms ?? Number.NaN)
    }
  } finally {
    await penstock.stop()
  }
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 5, seconds: 5 })
  const { rounds, seconds } = args
  const record = new BenchRecord('t-reported', 'Patches of reported properties')
  if (postgresMissing() === undefined) {
    const server = await startPostgres({ isDurable: true })
    try {
      const options = { postgresUrl: server.url, dataDir: undefined, connectionsMax: 8, logger: silentLogger }
      await measure(await openDatabase(options), 'PostgreSQL', record, rounds, seconds)
      await measureOverMqtt(server, 'PostgreSQL', record, args)
    } finally {
      await server.stop()
    }
  }
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-reported-'))
  try {
    const options = { postgresUrl: undefined, dataDir, connectionsMax: 1, logger: silentLogger }
    await measure(await openDatabase(options), 'embedded', record, rounds, seconds)
    await measureOverMqtt(undefined, 'embedded', record, args)
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
  const rate = (name: string): number => record.median(`${name}: patches/s a core`)
  const ratio = rate('PostgreSQL, in groups') / rate('PostgreSQL, one UPDATE each')
  for (const name of ['PostgreSQL', 'embedded']) {
    const share = (what: string): string => (rate(`${name}, in groups${what}`) / rate(`${name}, in groups`)).toFixed(2)
    record.note(
      `${name}: ${share(' and told')} of the rate where changes are told, ${share(', told and taken')} with reading them.`,
    )
  }
  record.note('CPU time of this process and the server, not the time that passed.')
  record.finish(
    `**T-1: ${ratio.toFixed(1)} × one UPDATE each on PostgreSQL (reach 8), ${Math.round(rate('PostgreSQL, in groups'))} patches/s a core (reach 12,000). T-2: ${Math.round(rate('embedded, in groups'))} a core embedded (reach 6,000). Over MQTT, edges, control and store together: ${Math.round(rate('PostgreSQL, over MQTT'))} and ${Math.round(rate('embedded, over MQTT'))} a core.**`,
    `${deviceCount.toLocaleString('en')} twins of ten reported values, patches of three; ${groupedAtOnce} patches under way.`,
    args,
  )
}

if (import.meta.main) await bench()
