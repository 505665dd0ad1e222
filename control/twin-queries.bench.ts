/**
 * `node control/twin-queries.bench.ts [devices]`: a fleet with twins on PostgreSQL (1,000,000 devices by default). Import of devices, tags
 * by services, first pages of queries from rare to common tags, and what the server's tables and this process take. Prints one JSON line;
 * results are appended to docs/benchmarks/registry.md by hand with their machine.
 */
import { startPostgres } from '#infra/testbed/postgres.ts'
import { silentLogger } from '#runtime/logger.ts'
import { openRegistry, type Registry } from './open-registry.ts'
import { idAt, importDevices, latencies, seconds } from './registry.bench.ts'
import { openDatabase } from './store/open-database.ts'

const updatesAtOnce = 500
const rounds = 30

/** A thousand sites, ten floors and two kinds; every 100,000th device is marked. */
function tagsOf(index: number): Record<string, string | number> {
  return {
    site: `site-${index % 1_000}`,
    floor: index % 10,
    kind: index % 2 === 0 ? 'meter' : 'valve',
    ...(index % 100_000 === 99_999 && { marked: 'yes' }),
  }
}

const queries: Readonly<Record<string, string>> = {
  'tag of one in 100,000': `SELECT * FROM devices WHERE tags.marked = 'yes'`,
  'tag of one in 1,000': `SELECT * FROM devices WHERE tags.site = 'site-712'`,
  'tag of one in 10': 'SELECT * FROM devices WHERE tags.floor = 7',
  'tag of every second': `SELECT * FROM devices WHERE tags.kind = 'valve'`,
  'two tags, 1,000 devices': `SELECT * FROM devices WHERE tags.site = 'site-712' AND tags.kind = 'meter'`,
  'two tags, nobody': `SELECT * FROM devices WHERE tags.site = 'site-712' AND tags.kind = 'valve'`,
  'a tag that nobody has': `SELECT * FROM devices WHERE tags.site = 'nowhere'`,
}

async function main(devices: number): Promise<void> {
  const server = await startPostgres({ isDurable: true })
  const registry = await openRegistry({
    postgresUrl: server.url,
    dataDir: undefined,
    connectionsMax: 4,
    logger: silentLogger,
  })
  const database = await openDatabase({
    postgresUrl: server.url,
    dataDir: undefined,
    connectionsMax: 1,
    logger: silentLogger,
  })
  try {
    const importSeconds = await seconds(() => importDevices(registry, devices))
    const tagSeconds = await seconds(() => tagAll(registry, devices))
    await database.query('ANALYZE penstock.identities, penstock.twins')
    const firstPageMs: Record<string, unknown> = {}
    for (const [name, text] of Object.entries(queries))
      firstPageMs[name] = await latencies(rounds, async () => {
        await registry.queries.query(text, { countMax: 100, continuation: undefined })
      })
    const sizes = await database.query<{ name: string; megabytes: number }>(
      `SELECT relname AS name, (pg_total_relation_size(oid) / 1048576)::integer AS megabytes FROM pg_class
       WHERE relnamespace = 'penstock'::regnamespace AND relkind = 'r' AND pg_total_relation_size(oid) > 1048576`,
    )
    process.stdout.write(
      `${JSON.stringify({
        devices,
        importPerSecond: Math.round(devices / importSeconds),
        tagsPerSecond: Math.round(devices / tagSeconds),
        firstPageMs,
        megabytes: Object.fromEntries(sizes.map(({ name, megabytes }) => [name, megabytes])),
        residentMegabytes: Math.round(process.memoryUsage().rss / 2 ** 20),
      })}\n`,
    )
  } finally {
    await database.close()
    await registry.close()
    await server.stop()
  }
}

async function tagAll(registry: Registry, devices: number): Promise<void> {
  for (let from = 0; from < devices; from += updatesAtOnce) {
    const outcomes = await registry.twins.updateAll(
      Array.from({ length: Math.min(updatesAtOnce, devices - from) }, (_, index) => ({
        id: { deviceId: idAt(from + index), moduleId: undefined },
        patch: { tags: tagsOf(from + index) },
        ifMatch: undefined,
      })),
    )
    const fault = outcomes.find((outcome) => outcome !== undefined)
    if (fault) throw fault
  }
}

if (import.meta.main) await main(Number(process.argv[2] ?? 1_000_000))
