import { expect, test } from 'vitest'
import type { Database } from '#control/store/database.ts'
import { limits } from '#schemas/limits.ts'
import { runQuery } from './run-query.ts'

test('a query that takes too long is broken off, and told so', async () => {
  const statements: string[] = []
  const queries = {
    query: async (sql: string) => {
      statements.push(sql)
      if (sql.startsWith('SET')) return []
      throw Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' })
    },
  }
  const database = { transaction: (work: (of: typeof queries) => unknown) => work(queries) } as unknown as Database
  const page = { countMax: 1, continuation: undefined }
  await expect(runQuery(database, 'SELECT * FROM devices', page)).rejects.toMatchObject({
    code: 'REGISTRY_QUERY_INVALID',
    message: expect.stringContaining(`longer than ${limits.queryMsMax} ms`),
  })
  expect(statements[0]).toBe(`SET LOCAL statement_timeout = ${limits.queryMsMax}`)
})
