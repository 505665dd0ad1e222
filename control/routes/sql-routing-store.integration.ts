import { afterAll, beforeAll, describe } from 'vitest'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { silentLogger } from '#runtime/logger.ts'
import { migrate } from '../store/migrate.ts'
import { openPostgresDatabase } from '../store/postgres-database.ts'
import { routingStoreConformance } from './routes.conformance.ts'
import { SqlRoutingStore } from './sql-routing-store.ts'

const postgres = serverFor('PostgreSQL', postgresMissing)

describe.skipIf(postgres.skip)(`routes on a PostgreSQL server ${postgres.note}`, () => {
  let server: PostgresForTests

  beforeAll(async () => {
    server = await startPostgres()
  })

  afterAll(() => server.stop())

  routingStoreConformance('PostgreSQL', async () => {
    const openDatabase = () => openPostgresDatabase({ url: server.url, connectionsMax: 2, logger: silentLogger })
    const admin = await openDatabase()
    await migrate(admin)
    await admin.query('TRUNCATE penstock.routing, penstock.routers, penstock.replays')
    await admin.close()
    const [control, router] = await Promise.all([openDatabase(), openDatabase()]).then((databases) =>
      Promise.all(databases.map(SqlRoutingStore.open)),
    )
    if (control === undefined || router === undefined) throw new Error('two stores are opened')
    return {
      control,
      router,
      close: async () => {
        await Promise.all([control.close(), router.close()])
      },
    }
  })
})
