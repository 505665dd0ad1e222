/**
 * Desired and reported properties, commands and methods at once, while edges, control and the store are killed and connections are cut, as
 * the load test begins and counts them. `OPERATIONS` of each kind, `SECONDS` and `KILLS` make it larger, `KINDS` names the kinds that take part,
 * `PENSTOCK_TEST_POSTGRES=yes` runs it on a PostgreSQL server, which is killed too, `SEED` repeats its choices.
 */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { ownerToken } from '#control/client/client.ts'
import { penstockPorts, RunningPenstock } from '#infra/testbed/penstock.ts'
import { startPostgres } from '#infra/testbed/postgres.ts'
import { registerDevices } from '#loadtest/generate/register-devices.ts'
import { type ExchangeKind, type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { runWorkloads } from '#loadtest/run/run-load.ts'
import { seededRandom } from '#runtime/seeded-random.ts'

const operations = Number(process.env.OPERATIONS ?? 120)
const seconds = Number(process.env.SECONDS ?? 6)
const kills = Number(process.env.KILLS ?? 2)
const connections = Math.min(200, Math.max(4, Math.ceil(operations / 100)))
const allKinds = ['reported', 'desired', 'methods', 'commands'] as const satisfies readonly ExchangeKind[]
const kinds = allKinds.filter((kind) => (process.env.KINDS?.split(',') ?? allKinds).includes(kind))

test('edges, control and the store are killed, and nothing is lost, backwards or twice [G-7] [G-8] [G-9]', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  const random = seededRandom(seed)
  const ownerKey = randomBytes(32).toString('base64')
  const server = process.env.PENSTOCK_TEST_POSTGRES === 'yes' ? await startPostgres({ isDurable: true }) : undefined
  const penstock = await RunningPenstock.start({
    settings: {
      ...(await penstockPorts()),
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_EDGE_PROCESSES: '2',
      ...(server ? { PENSTOCK_POSTGRES_URL: server.url } : {}),
    },
  })
  const access = { url: penstock.httpUrl, hostName: loadDefaults.hubName, ownerKey }
  const service = { url: penstock.httpUrl, token: ownerToken(access, Date.now() + 86_400_000) }
  const killed = { edge: 0, control: 0, store: 0 }

  async function killOne(kill: number): Promise<void> {
    const victims = server ? (['edge', 'control', 'store'] as const) : (['edge', 'control'] as const)
    const victim = victims[kill % victims.length] ?? 'edge'
    killed[victim]++
    if (victim === 'store') {
      await server?.kill()
      await server?.start()
      return
    }
    const pids = penstock.pidsOf(victim)
    const pid = pids[random.below(pids.length)]
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
  }

  const workloads = kinds.map(
    (kind, index): LoadOptions => ({
      ...loadDefaults,
      url: penstock.mqttUrl,
      service,
      run: 'killed',
      workload: kind,
      kind,
      connections,
      firstDevice: index * connections,
      rate: Math.ceil(operations / seconds),
      messages: operations,
      seconds,
      connectMsMax: 120_000,
      // A machine that is too slow for the rate takes longer; it ends as soon as all is done.
      drainMsMax: Math.max(90_000, seconds * 5_000),
      storms: [{ atSeconds: seconds / 2, share: 0.5 }],
    }),
  )
  try {
    const { secret } = await registerDevices(workloads, access)
    let begun = 0
    let killing: Promise<void> = Promise.resolve()
    const result = await runWorkloads(
      workloads.map((options) => ({ ...options, deviceKeySecret: secret })),
      {
        onProgress: ({ sent }) => {
          // Not once all is sent: what is killed last must have come to work again before the end is looked at.
          const due = Math.min(kills, Math.floor((sent / (operations * kinds.length)) * (kills + 1)))
          for (; begun < due; begun++) {
            const kill = begun
            killing = killing.then(() => killOne(kill))
          }
        },
      },
    )
    await killing
    const said = result.exchanges.map(({ kind, counts, reasons }) => ({ kind, ...counts, reasons }))
    process.stdout.write(`${JSON.stringify({ seed, ...killed, lost: result.connections.lost, said })}\n`)
    expect(
      result.exchanges.flatMap(({ faults }) => faults),
      `SEED=${seed}`,
    ).toEqual([])
    for (const { kind, counts } of result.exchanges) {
      expect(counts, kind).toMatchObject({ sent: operations, lost: 0, backwards: 0, twice: 0 })
      expect(counts.answered, kind).toBeGreaterThan(0)
    }
  } finally {
    await penstock.stop()
    await server?.stop()
  }
}, 3_600_000)
