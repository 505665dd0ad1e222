/**
 * Analysts' materialized views over the telemetry table fail: at some rows, at every row, for want of their target; beside them the
 * worker and the engine are killed. No view may cost the table a row, store one twice or stop delivery.
 */
import { queryRows } from '#loadtest/observe/query-rows.ts'
import { killOne, openInstallation, urlsOf } from './installation.ts'
import type { LoadView } from './load-view.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

export const failingViews: Scenario = {
  name: 'failing-views',
  summary: 'materialized views fail at some or all rows or lose their target, and worker and warehouse are killed (-9)',
  usual: { faults: 30, messages: 1_500_000, rate: 20_000, connections: 100 },
  small: { faults: 4, messages: 12_000, rate: 3_000, connections: 20 },
  log: 'any',
  prepare,
}

/** What a view computes of a row, by how it fails. */
const selects = {
  'a view that fails at some rows': 'throwIf(cityHash64(body) % 1000 = 0)',
  'a view that fails at every row': 'throwIf(length(body) > 0)',
  'a view whose target is dropped': 'length(body)',
} as const

const kinds = Object.keys(selects) as [keyof typeof selects, ...(keyof typeof selects)[]]

async function prepare(stage: Stage): Promise<Site> {
  const installation = await openInstallation(stage)
  let views = 0
  const change = (load: LoadView, statement: string) =>
    load.until(statement, () =>
      // The engine may have been killed just now; each statement may run twice.
      queryRows(installation.clickhouseUrl, statement, {}).then(
        () => true,
        () => false,
      ),
    )
  return {
    ...urlsOf(installation),
    inject: async (load) => {
      await load.untilStored(1)
      await stage.schedule(load, async () => {
        const kind = stage.pick(kinds)
        const victim = stage.pick<'worker' | 'warehouse' | undefined>(['worker', 'warehouse', undefined])
        const name = `penstock.view_${views++}`
        await change(load, `CREATE TABLE IF NOT EXISTS ${name}_target (n UInt64) ENGINE = MergeTree ORDER BY n`)
        await change(
          load,
          `CREATE MATERIALIZED VIEW IF NOT EXISTS ${name} TO ${name}_target AS SELECT ${selects[kind]} AS n FROM penstock.telemetry`,
        )
        if (kind === 'a view whose target is dropped') await change(load, `DROP TABLE IF EXISTS ${name}_target`)
        const before = (await load.storedRows()) ?? 0
        if (victim) await load.until(`a process ${victim} to kill`, () => killOne(installation, victim, 0))
        stage.injected(victim ? `${kind}, kill ${victim}` : kind, load)
        // Rows go on past the view that fails.
        await load.untilStored(before + 1)
        if (stage.random() < 0.5) await change(load, `DROP TABLE IF EXISTS ${name}`)
      })
    },
  }
}
