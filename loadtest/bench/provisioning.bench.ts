/**
 * Registrations a core: new devices of a group with a symmetric key, each of which asks whether it may, registers, and asks what became of
 * it, through the port that edges have; all CPU time of this process and of the store. Sockets and TLS are not in it.
 * Reach: P-1 ≥ 500 a core.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSasToken } from '#control/auth/sas-token.ts'
import { openRegistry, type Registry } from '#control/open-registry.ts'
import { derivedKey } from '#control/provisioning/derived-key.ts'
import { RunningPenstock } from '#infra/testbed/penstock.ts'
import { postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { anonymousBytesOf, cpuSecondsOf, processTreeOf } from '#runtime/processes.ts'
import { BenchRecord, benchArguments, plain } from './bench-record.ts'

const idScope = '0ne00000001'
const atOnce = 500
const stormDevices = 100_000
const stormSocketsMax = 2_000
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

function registrantOf(registrationId: string) {
  const token = createSasToken({
    scope: `${idScope}/registrations/${registrationId}`,
    key: derivedKey(key, registrationId),
    policyName: 'registration',
    expiresAtMs: Date.now() + 3_600_000,
  })
  return { registrationId, token, certificates: [] }
}

async function registerOne({ registrar }: Registry, registrationId: string): Promise<void> {
  const who = { ...registrantOf(registrationId), operationId: undefined, payload: undefined }
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

/** Asks until there is an answer. */
async function assigned(ask: () => Promise<Answer>): Promise<void> {
  for (;;) {
    const { status, body } = await ask().catch(() => notAnswered)
    if (body.status === 'assigned') return
    if (status !== 0 && status !== 503) throw new Error(`not assigned: ${status} ${JSON.stringify(body)}`)
    await sleep(systemClock, notAnswered.retryAfterSeconds * 1_000)
  }
}

interface Storm {
  readonly seconds: number
  readonly tries: number
  readonly residentBytes: number
}

/** All devices register at once, over HTTP, at an installation of one edge process, and come back when they are told to. */
async function storm(devices: number): Promise<Storm> {
  const penstock = await RunningPenstock.start({
    settings: { PENSTOCK_IDENTITIES: 'required', PENSTOCK_OWNER_KEY: key, PENSTOCK_EDGE_PROCESSES: '1' },
  })
  const agent = new Agent({ keepAlive: true, maxSockets: stormSocketsMax })
  const ask = (method: string, path: string, token: string, body: unknown): Promise<Answer> =>
    answerOf(new URL(path, penstock.httpUrl), { method, agent, headers: { Authorization: token } }, body)
  try {
    const owner = createSasToken({
      scope: 'localhost',
      key,
      policyName: 'iothubowner',
      expiresAtMs: Date.now() + 3_600_000,
    })
    const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: key, secondaryKey: key } }
    await ask('PUT', '/enrollmentGroups/bench', owner, { attestation })
    let tries = 0
    const one = async (index: number): Promise<void> => {
      const { registrationId, token } = registrantOf(`storm-${index}`)
      const path = `/${idScope}/registrations/${registrationId}`
      for (;;) {
        tries++
        const { status, body, retryAfterSeconds } = await ask('PUT', `${path}/register`, token, {
          registrationId,
        }).catch(() => notAnswered)
        if (status === 202) {
          await assigned(() => ask('GET', `${path}/operations/${body.operationId}`, token, undefined))
          return
        }
        if (status !== 429 && status !== 503 && status !== 0) throw new Error(`answered ${status}`)
        await sleep(systemClock, retryAfterSeconds * 1_000)
      }
    }
    const beganMs = systemClock.monotonicMs()
    let residentBytes = 0
    const watch = setInterval(() => {
      const controlBytes = anonymousBytesOf(penstock.pidsOf('control')[0] ?? 0)
      residentBytes = Math.max(residentBytes, controlBytes + anonymousBytesOf(penstock.pidsOf('edge')[0] ?? 0))
    }, 1_000)
    await Promise.all(Array.from({ length: devices }, (_, index) => one(index)))
    clearInterval(watch)
    return { seconds: (systemClock.monotonicMs() - beganMs) / 1_000, tries, residentBytes }
  } finally {
    agent.destroy()
    await penstock.stop()
  }
}

/** A connection that ended: whoever has none comes back a little later, as devices do. */
const notAnswered: Answer = { status: 0, body: {}, retryAfterSeconds: 1 }

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  readonly retryAfterSeconds: number
}

async function answerOf(url: URL, options: RequestOptions, body: unknown): Promise<Answer> {
  const asking = request(url, options)
  asking.end(body === undefined ? '' : JSON.stringify(body))
  const [answer]: IncomingMessage[] = await once(asking, 'response')
  if (answer === undefined) throw new Error('no answer')
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  const retryAfterSeconds = Number(answer.headers['retry-after'] ?? 1)
  return { status: answer.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()), retryAfterSeconds }
}

async function measure(
  registry: Registry,
  name: string,
  record: BenchRecord,
  rounds: number,
  seconds: number,
): Promise<void> {
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
  const { seconds: stormSeconds, tries, residentBytes } = await storm(stormDevices)
  record.note(
    `${stormDevices.toLocaleString('en')} devices at once over HTTP, at one edge process and the embedded store: each assigned after ${Math.round(stormSeconds)} s, in ${tries.toLocaleString('en')} tries; edge and control role at most ${Math.round(residentBytes / 2 ** 20)} MiB.`,
  )
  record.note('CPU time of this process and the server, not the time that passed; devices make their tokens in it too.')
  const rate = (name: string): string => plain(record.median(`${name}: registrations/s a core`))
  record.finish(
    `**P-1: ${rate('embedded')} registrations/s a core embedded, ${postgresMissing() === undefined ? rate('PostgreSQL') : 'none measured'} on PostgreSQL (reach 500).**`,
    `New devices of one group, each with an identity and a first twin; ${atOnce} register at once.`,
    args,
  )
}

if (import.meta.main) await bench()
