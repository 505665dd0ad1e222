/** kill -9, again and again, at moments that the seed chooses. */
import type { Role, RunningPenstock } from '#infra/testbed/penstock.ts'
import { killOne, openInstallation, urlsOf } from './installation.ts'
import type { LoadView } from './load-view.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

type Victim = Role | 'supervisor'

const usual = { faults: 20, messages: 2_000_000, rate: 50_000, connections: 100 }
const small = { faults: 3, messages: 12_000, rate: 4_000, connections: 20 }

export const killScenarios: readonly Scenario[] = [
  killing('kill-edge', 'one of two edge processes is killed (-9)', ['edge']),
  killing('kill-worker', 'the worker is killed (-9)', ['worker']),
  killing('kill-warehouse', 'the embedded engine is killed (-9)', ['warehouse']),
  killing('kill-supervisor', 'the supervisor is killed (-9), its roles end by themselves, all is started again', [
    'supervisor',
  ]),
  killing('kill-all', 'any of them is killed (-9), at random', [
    'edge',
    'worker',
    'warehouse',
    'edge',
    'worker',
    'warehouse',
    'supervisor',
  ]),
]

function killing(name: string, summary: string, victims: readonly [Victim, ...Victim[]]): Scenario {
  return { name, summary, usual, small, log: 'any', prepare: (stage) => prepare(stage, victims) }
}

async function prepare(stage: Stage, victims: readonly [Victim, ...Victim[]]): Promise<Site> {
  const installation = await openInstallation(stage, { PENSTOCK_EDGE_PROCESSES: '2' })
  return {
    ...urlsOf(installation),
    inject: (load) =>
      stage.schedule(load, async () => {
        const victim = stage.pick(victims)
        const among = stage.random()
        await kill(installation, victim, among, load)
        stage.injected(`kill ${victim}`, load)
        if (victim === 'supervisor') await installation.start()
      }),
  }
}

async function kill(installation: RunningPenstock, victim: Victim, among: number, load: LoadView): Promise<void> {
  if (victim === 'supervisor') await installation.kill()
  // One that is just being started again is killed as soon as it is there.
  else await load.until(`a process ${victim} to kill`, () => killOne(installation, victim, among))
}
