/** ClickHouse is away while devices go on; then how fast what has gathered on the log is caught up with [N-7]. */
import { freePort } from '#runtime/free-ports.ts'
import { openInstallation, startWarehouse } from './installation.ts'
import type { LoadView } from './load-view.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

export const warehouseDown: Scenario = {
  name: 'warehouse-down',
  summary: 'the warehouse is away for a while, then the catch-up rate ÷ the arrival rate is measured',
  usual: { faults: 2, messages: 6_000_000, rate: 50_000, connections: 100 },
  small: { faults: 1, messages: 30_000, rate: 5_000, connections: 20 },
  log: 'any',
  prepare,
}

/** Part of each fault's stretch of messages for which the warehouse is away. */
const downShare = 0.4

async function prepare(stage: Stage): Promise<Site> {
  const port = await freePort()
  const settings = { ...stage.settings, PENSTOCK_CLICKHOUSE_PORT: String(port) }
  let warehouse = await startWarehouse(settings)
  stage.own(() => warehouse.stop())
  const clickhouseUrl = `http://127.0.0.1:${port}`
  const installation = await openInstallation(stage, { PENSTOCK_CLICKHOUSE_URL: clickhouseUrl })
  const { faults, messages } = stage.options
  return {
    mqttUrl: installation.mqttUrl,
    clickhouseUrl,
    inject: async (load) => {
      for (let index = 0; index < faults; index++) {
        await load.untilAcknowledged(Math.floor((messages * (index + stage.random() * 0.3)) / faults))
        const isKilled = stage.random() < 0.5
        await (isKilled ? warehouse.kill() : warehouse.stop())
        stage.injected(isKilled ? 'kill warehouse and leave it' : 'stop warehouse', load)
        const awayMs = performance.now()
        await load.untilMore(Math.floor((messages * downShare) / faults))
        note(stage, 'away, seconds', (performance.now() - awayMs) / 1000, Math.max)
        warehouse = await startWarehouse(settings)
        await measureCatchUp(stage, load)
      }
    },
  }
}

/** From the first row that comes again until less than a second's messages wait. */
async function measureCatchUp(stage: Stage, load: LoadView): Promise<void> {
  const { rate } = stage.options
  const before = (await load.storedRows()) ?? 0
  let first: { readonly atMs: number; readonly rows: number; readonly acknowledged: number } | undefined
  let last = { atMs: 0, rows: 0, acknowledged: 0 }
  let queryMsMax = 0
  await load.until('what gathered to be stored', async () => {
    const askedMs = performance.now()
    const rows = (await load.storedRows()) ?? 0
    queryMsMax = Math.max(queryMsMax, performance.now() - askedMs)
    last = { atMs: performance.now(), rows, acknowledged: load.acknowledged }
    if (rows > before) first ??= last
    return load.acknowledged - rows <= rate
  })
  if (!first || last.atMs - first.atMs < 1) return
  const caughtUp = (last.rows - first.rows) / ((last.atMs - first.atMs) / 1000)
  note(stage, 'rows/s while catching up', caughtUp, Math.min)
  note(stage, 'catch-up rate ÷ arrival rate (reach 3)', caughtUp / rate, Math.min)
  note(stage, 'seconds until caught up', (last.atMs - first.atMs) / 1000, Math.max)
  note(stage, 'slowest count() over the table meanwhile, ms', queryMsMax, Math.max)
}

/** Keeps the worst over several outages. */
function note({ facts }: Stage, name: string, value: number, worse: (a: number, b: number) => number): void {
  const known = facts[name]
  facts[name] = known === undefined ? value : worse(known, value)
}
