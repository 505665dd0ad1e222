import { afterAll, beforeAll, describe } from 'vitest'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { copyStoreConformance } from './copy-store.conformance.ts'

const postgres = serverFor('PostgreSQL', postgresMissing)

describe.skipIf(postgres.skip)(`on a PostgreSQL server ${postgres.note}`, () => {
  let server: PostgresForTests

  beforeAll(async () => {
    server = await startPostgres()
  })

  afterAll(() => server.stop())

  copyStoreConformance('a PostgreSQL server', () => server.url)
})
