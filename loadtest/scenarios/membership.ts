/** Workers that come and go, and an installation that is started again with other numbers of processes. */
import { Installation, startWorker } from './installation.ts'
import type { Scenario, Site, Stage } from './scenario.ts'
import type { StartedProcess } from './started-process.ts'

export const membershipScenarios: readonly Scenario[] = [
  {
    name: 'rebalance-storm',
    summary: 'workers join and leave, in order and killed (-9), while one stays',
    usual: { faults: 30, messages: 2_000_000, rate: 20_000, connections: 100 },
    small: { faults: 4, messages: 12_000, rate: 3_000, connections: 20 },
    log: 'any',
    prepare: prepareStorm,
  },
  {
    name: 'restart-with-other-counts',
    summary: 'all is stopped or killed, and started with another number of edge processes and workers',
    usual: { faults: 10, messages: 1_500_000, rate: 20_000, connections: 100 },
    small: { faults: 2, messages: 10_000, rate: 3_000, connections: 20 },
    log: 'any',
    prepare: prepareRestarts,
  },
]

/** Workers beside the installation's own. */
const moreWorkersMax = 3

async function prepareStorm(stage: Stage): Promise<Site> {
  const installation = await Installation.start(stage.settings)
  stage.own(() => installation.stop())
  const settings = { ...stage.settings, PENSTOCK_CLICKHOUSE_URL: installation.clickhouseUrl }
  const workers: StartedProcess[] = []
  stage.own(() => Promise.all(workers.map((worker) => worker.stop())))
  return {
    mqttUrl: installation.mqttUrl,
    clickhouseUrl: installation.clickhouseUrl,
    inject: (load) =>
      stage.schedule(load, async () => {
        const joins = stage.random() < 0.5
        const dies = stage.random() < 0.5
        const [leaving] = workers.length === 0 ? [] : workers.splice(stage.integer(0, workers.length - 1), 1)
        if (leaving !== undefined && (!joins || workers.length + 1 >= moreWorkersMax)) {
          await (dies ? leaving.kill() : leaving.stop())
          stage.injected(dies ? 'kill a worker of several' : 'a worker leaves', load)
          return
        }
        if (leaving !== undefined) workers.push(leaving)
        workers.push(await startWorker(settings))
        stage.injected('a worker joins', load)
      }),
  }
}

async function prepareRestarts(stage: Stage): Promise<Site> {
  const installation = await Installation.start(stage.settings)
  stage.own(() => installation.stop())
  const settings = { ...stage.settings, PENSTOCK_CLICKHOUSE_URL: installation.clickhouseUrl }
  const workers: StartedProcess[] = []
  stage.own(() => Promise.all(workers.map((worker) => worker.stop())))
  return {
    mqttUrl: installation.mqttUrl,
    clickhouseUrl: installation.clickhouseUrl,
    inject: (load) =>
      stage.schedule(load, async () => {
        const dies = stage.random() < 0.5
        const edges = stage.integer(1, 3)
        const workerCount = stage.integer(1, 3)
        await Promise.all(workers.splice(0).map((worker) => (dies ? worker.kill() : worker.stop())))
        await (dies ? installation.killSupervisor() : installation.stop())
        stage.injected(dies ? 'kill all, start with other counts' : 'stop all, start with other counts', load)
        await installation.start({ PENSTOCK_EDGE_PROCESSES: String(edges) })
        for (let more = 1; more < workerCount; more++) workers.push(await startWorker(settings))
      }),
  }
}
