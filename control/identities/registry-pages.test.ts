/** What one page of a list or query costs, in rows that the embedded store reads for it: few, wherever the page lies. */
import { expect, onTestFinished, test } from 'vitest'
import type { Database, SqlRow, SqlValue } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { registryOver } from '../open-registry.ts'

const devices = 5_000
const pageMax = 50

interface Plan {
  readonly 'Node Type': string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Plan[]
}

function rowsScanned(plan: Plan): number {
  const own = plan['Node Type'].includes('Scan')
    ? (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops']
    : 0
  return (plan.Plans ?? []).reduce((sum, part) => sum + rowsScanned(part), own)
}

test('a page of devices costs the rows of that page, wherever it lies', { timeout: 120_000 }, async () => {
  const database = await openDatabase({
    postgresUrl: undefined,
    dataDir: undefined,
    connectionsMax: 1,
    logger: silentLogger,
  })
  let scanned = 0
  /** Runs each SELECT a second time, to see how. */
  const explained: Database = {
    transaction: (work) => database.transaction(work),
    listen: (...given) => database.listen(...given),
    close: () => database.close(),
    async query<Row extends SqlRow>(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
      if (sql.startsWith('SELECT')) {
        const explain = `EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`
        const [row] = await database.query<{ 'QUERY PLAN': readonly [{ Plan: Plan }] }>(explain, parameters)
        if (row) scanned = rowsScanned(row['QUERY PLAN'][0].Plan)
      }
      return database.query<Row>(sql, parameters)
    },
  }
  const registry = await registryOver(explained, systemClock, silentLogger)
  onTestFinished(() => registry.close())
  const ids = Array.from({ length: devices }, (_, index) => `device-${String(index).padStart(5, '0')}`)
  const none = {
    primaryKey: undefined,
    secondaryKey: undefined,
    primaryThumbprint: undefined,
    secondaryThumbprint: undefined,
  }
  for (let from = 0; from < devices; from += 1_000) {
    const part = ids.slice(from, from + 1_000)
    await registry.identities.importDevices(
      part.map((deviceId) => ({
        deviceId,
        moduleId: undefined,
        status: 'enabled',
        statusReason: undefined,
        authentication: { kind: 'none', ...none },
        iotEdge: false,
        deviceScope: undefined,
        parentScope: undefined,
        managedBy: undefined,
      })),
    )
    await registry.presence.recordPresence(
      part.map((deviceId) => ({ deviceId, moduleId: undefined, connected: true, edgeId: 'edge', atMs: 1 })),
    )
  }
  for (const last of ['', ids[devices / 2] ?? '', ids[devices - pageMax - 1] ?? '']) {
    expect(await registry.identities.devicesAfter(last, pageMax)).toHaveLength(pageMax)
    expect(scanned).toBeLessThanOrEqual(3 * pageMax)
  }
  const query = 'SELECT * FROM devices'
  let continuation: string | undefined
  for (let page = 0; page < 10; page++) {
    const result = await registry.queries.query(query, { countMax: pageMax, continuation })
    expect(scanned).toBeLessThanOrEqual(3 * pageMax)
    continuation = result.continuation
  }
})
