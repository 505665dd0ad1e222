import { afterAll, beforeAll, describe } from 'vitest'
import { transfersConformance } from '#control/transfers/transfers.conformance.ts'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { jobsConformance } from './jobs.conformance.ts'

const postgres = serverFor('PostgreSQL', postgresMissing)

describe.skipIf(postgres.skip)(`on a PostgreSQL server ${postgres.note}`, () => {
  let server: PostgresForTests

  beforeAll(async () => {
    server = await startPostgres()
  })

  afterAll(() => server.stop())

  jobsConformance('a PostgreSQL server', () => server.url)
  transfersConformance('a PostgreSQL server', () => server.url)
})
