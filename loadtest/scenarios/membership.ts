/** Workers that come and go, and an installation that is started again with other numbers of processes. */
import { openInstallation, previousTree, urlsOf } from './installation.ts'
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
    summary:
      'one of two edges, and one of two workers, ends in order, and another one comes; with --previous of that version in turn',
    usual: { faults: 20, messages: 2_000_000, rate: 20_000, connections: 100 },
    small: { faults: 4, messages: 12_000, rate: 3_000, connections: 20 },
    log: 'any',
    previous: 'optional',
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
  const { previous } = stage.options
  const root = previous === undefined ? undefined : await previousTree(previous)
  const workers = new MoreWorkers(stage, installation)
  await workers.add(root)
  let edge = await installation.addEdge(root)
  stage.own(() => edge.stop())
  const turns = [
    {
      role: 'an edge',
      end: () => edge.stop(),
      come: async (next?: string) => {
        edge = await installation.addEdge(next)
      },
    },
    { role: 'a worker', end: () => workers.take(0, false), come: (next?: string) => workers.add(next) },
  ] as const
  return {
    ...urlsOf(installation),
    inject: async (load) => {
      const stalls = load.watchStalls()
      stage.own(() => stalls.stop())
      await stage.schedule(load, async (index) => {
        const { role, end, come } = turns[index % 2 === 0 ? 0 : 1]
        const partitions = await load.storedPartitions()
        const during = async (what: string, step: () => Promise<unknown>): Promise<void> => {
          stage.noteLargest('a partition stood still at other times, s', stalls.takeLongest())
          await step()
          await load.untilStoredFrom(partitions)
          stage.noteLargest(`a partition stood still when ${role} ${what}, s`, stalls.takeLongest())
        }
        await during('ended', end)
        stage.injected(`${role} of two ends in order`, load)
        // What was of the other version is of this one now.
        await during('came', () => come(index % 4 < 2 ? undefined : root))
      })
    },
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
