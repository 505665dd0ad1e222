/** Workers that come and go, and an installation that is started again with other numbers of processes. */
import { openInstallation, urlsOf } from './installation.ts'
import { MoreWorkers } from './more-workers.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

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
    name: 'orderly-ends',
    summary: 'one of two edges, and one of two workers, ends in order, and another one comes',
    usual: { faults: 20, messages: 2_000_000, rate: 20_000, connections: 100 },
    small: { faults: 4, messages: 12_000, rate: 3_000, connections: 20 },
    log: 'any',
    prepare: prepareOrderlyEnds,
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
  const installation = await openInstallation(stage)
  const workers = new MoreWorkers(stage, installation)
  return {
    ...urlsOf(installation),
    inject: (load) =>
      stage.schedule(load, async () => {
        const joins = stage.random() < 0.5
        const dies = stage.random() < 0.5
        const index = workers.count === 0 ? 0 : stage.integer(0, workers.count - 1)
        if (workers.count === 0 || (joins && workers.count < moreWorkersMax)) {
          await workers.add()
          stage.injected('a worker joins', load)
        } else {
          await workers.take(index, dies)
          stage.injected(dies ? 'kill a worker of several' : 'a worker leaves', load)
        }
      }),
  }
}

async function prepareOrderlyEnds(stage: Stage): Promise<Site> {
  const installation = await openInstallation(stage)
  const workers = new MoreWorkers(stage, installation)
  await workers.add()
  let edge = await installation.addEdge()
  stage.own(() => edge.stop())
  return {
    ...urlsOf(installation),
    inject: (load) =>
      stage.schedule(load, async (index) => {
        if (index % 2 === 0) {
          await edge.stop()
          stage.injected('an edge of two ends in order', load)
          edge = await installation.addEdge()
        } else {
          await workers.take(0, false)
          stage.injected('a worker of two ends in order', load)
          await workers.add()
        }
      }),
  }
}

async function prepareRestarts(stage: Stage): Promise<Site> {
  const installation = await openInstallation(stage)
  const workers = new MoreWorkers(stage, installation)
  return {
    ...urlsOf(installation),
    inject: (load) =>
      stage.schedule(load, async () => {
        const dies = stage.random() < 0.5
        const edges = stage.integer(1, 3)
        const workerCount = stage.integer(1, 3)
        await workers.takeAll(dies)
        await (dies ? installation.kill() : installation.stop())
        stage.injected(dies ? 'kill all, start with other counts' : 'stop all, start with other counts', load)
        await installation.start({ PENSTOCK_EDGE_PROCESSES: String(edges) })
        while (workers.count < workerCount - 1) await workers.add()
      }),
  }
}
