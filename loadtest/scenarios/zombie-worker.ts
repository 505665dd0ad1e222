/**
 * A worker stops (SIGSTOP) for longer than its group waits for it, another one takes its partitions over and delivers what was
 * left, and the first goes on (SIGCONT) in the middle of what it was doing.
 */
import type { RunningPenstock } from '#infra/testbed/penstock.ts'
import { openInstallation, urlsOf } from './installation.ts'
import type { LoadView } from './load-view.ts'
import { MoreWorkers } from './more-workers.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

export const zombieWorker: Scenario = {
  name: 'zombie-worker',
  summary: 'a worker is stopped until another has taken its partitions over, then it goes on',
  usual: { faults: 5, messages: 3_000_000, rate: 30_000, connections: 100 },
  small: { faults: 1, messages: 10_000, rate: 2_000, connections: 20 },
  log: 'any',
  prepare,
}

async function prepare(stage: Stage): Promise<Site> {
  const installation = await openInstallation(stage)
  await new MoreWorkers(stage, installation).add()
  return {
    ...urlsOf(installation),
    inject: async (load) => {
      stage.facts['stopped while it held the write lock of the log, so let go on at once'] = 0
      await stage.schedule(load, () => freezeUntilReplaced(stage, installation, load))
    },
  }
}

async function freezeUntilReplaced(stage: Stage, installation: RunningPenstock, load: LoadView): Promise<void> {
  for (;;) {
    let pid = 0
    await load.until('a worker to stop', () => {
      pid = installation.pidsOf('worker')[0] ?? 0
      return pid > 0
    })
    process.kill(pid, 'SIGSTOP')
    try {
      if (await isLogWritable(stage, load)) {
        stage.injected('stop worker', load)
        // Of its own partitions no one but the other worker can store messages that come now.
        await load.untilStoredFrom(await load.storedPartitions())
        return
      }
      // The embedded log has one write lock over all processes: whoever stops while holding it stops them all.
      stage.facts['stopped while it held the write lock of the log, so let go on at once'] =
        (stage.facts['stopped while it held the write lock of the log, so let go on at once'] ?? 0) + 1
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await load.untilMore(1)
  }
}

const reportsMax = 4

/** Devices still get acknowledgements: for messages that were sent after now. */
async function isLogWritable({ options }: Stage, load: LoadView): Promise<boolean> {
  const wanted = load.acknowledged + options.rate
  const last = load.reports + reportsMax
  await load.until('reports', () => load.acknowledged >= wanted || load.reports >= last)
  return load.acknowledged >= wanted
}
