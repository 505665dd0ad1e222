/**
 * Registrations a core: new devices of a group with a symmetric key, each of which asks whether it may, registers, and asks what became of
 * it, through the port that edges have; all CPU time of this process and of the store. Sockets and TLS are not in it.
 * Reach: P-1 ≥ 500 a core.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSasToken } from '#control/auth/sas-token.ts'
import { openRegistry, type Registry } from '#control/open-registry.ts'
import { derivedKey } from '#control/provisioning/derived-key.ts'
import { postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { cpuSecondsOf, processTreeOf } from '#runtime/processes.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'

const idScope = '0ne00000001'
const atOnce = 500
const key = Buffer.alloc(32, 1).toString('base64')

async function cpuSeconds(): Promise<number> {
  const { user, system } = process.cpuUsage()
  const others = processTreeOf(process.pid).filter((pid) => pid !== process.pid)
  return (user + system) / 1e6 + others.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
}

async function enrolGroup(registry: Registry): Promise<void> {
  await registry.enrolments.put('group', 'bench', undefined, () => ({
    kind: 'group',
    id: 'bench',
    deviceId: undefined,
    attestation: { kind: 'symmetricKey', primaryKey: key, secondaryKey: key },
    isEnabled: true,
    allocation: { policy: 'hashed', hubs: [], webhook: undefined },
    reprovisioning: { updateHubAssignment: true, migrateDeviceData: true },
    initialTwin: { tags: { line: 1 }, desired: { speed: 3 } },
    iotEdge: false,
    information: undefined,
  }))
}

async function registerOne({ registrar }: Registry, registrationId: string): Promise<void> {
  const token = createSasToken({
    scope: `${idScope}/registrations/${registrationId}`,
    key: derivedKey(key, registrationId),
    policyName: 'registration',
    expiresAtMs: Date.now() + 3_600_000,
  })
  const who = { registrationId, token, certificates: [], operationId: undefined, payload: undefined }
  await registrar.provision({ step: 'connect', ...who })
  const begun = await registrar.provision({ step: 'register', ...who })
  const { operationId } = JSON.parse(begun.body)
  const { body } = await registrar.provision({ step: 'status', ...who, operationId })
  if (JSON.parse(body).status !== 'assigned') throw new Error(`not assigned: ${body}`)
}

/** Keeps `atOnce` devices registering for `seconds`. @returns how many a CPU second */
async function rateOf(registry: Registry, prefix: string, seconds: number): Promise<number> {
  const endMs = systemClock.monotonicMs() + seconds * 1_000
  const before = await cpuSeconds()
  let begun = 0
  let done = 0
  const one = async (): Promise<void> => {
    while (systemClock.monotonicMs() < endMs) {
      await registerOne(registry, `${prefix}-${begun++}`)
      done++
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return done / ((await cpuSeconds()) - before)
}

async function measure(registry: Registry, name: string, record: BenchRecord, rounds: number, seconds: number) {
  try {
    await enrolGroup(registry)
    for (let round = 0; round < rounds; round++)
      record.add(`${name}: registrations/s a core`, await rateOf(registry, `new-${round}`, seconds))
  } finally {
    await registry.close()
  }
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 5, seconds: 5 })
  const { rounds, seconds } = args
  const record = new BenchRecord('p-provisioning', 'Registrations of new devices')
  const shared = { connectionsMax: 4, logger: silentLogger }
  if (postgresMissing() === undefined) {
    const server = await startPostgres({ isDurable: true })
    try {
      const registry = await openRegistry({ ...shared, postgresUrl: server.url, dataDir: undefined })
      await measure(registry, 'PostgreSQL', record, rounds, seconds)
    } finally {
      await server.stop()
    }
  }
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-provisioning-'))
  try {
    const registry = await openRegistry({ ...shared, postgresUrl: undefined, dataDir })
    await measure(registry, 'embedded', record, rounds, seconds)
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
  record.note('CPU time of this process and the server, not the time that passed; devices make their tokens in it too.')
  const rate = (name: string): number => Math.round(record.median(`${name}: registrations/s a core`))
  record.finish(
    `**P-1: ${rate('embedded')} registrations/s a core embedded, ${postgresMissing() === undefined ? rate('PostgreSQL') : 0} on PostgreSQL (reach 500).**`,
    `New devices of one group, each with an identity and a first twin; ${atOnce} register at once.`,
    args,
  )
}

if (import.meta.main) await bench()
