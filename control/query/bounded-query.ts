import type { Database, Queries } from '#control/store/database.ts'
import { limits } from '#schemas/limits.ts'
import { queryFault } from './tokens.ts'

/** PostgreSQL, Appendix A: query_canceled. */
const cancelledCode = '57014'

/** Carries out what a caller asked for, whose statements take no longer than they may. @throws REGISTRY_QUERY_INVALID where one does */
export async function boundedQuery<T>(database: Database, work: (queries: Queries) => Promise<T>): Promise<T> {
  try {
    return await database.transaction(async (queries) => {
      await queries.query(`SET LOCAL statement_timeout = ${limits.queryMsMax}`)
      return work(queries)
    })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === cancelledCode)
      throw queryFault(`takes longer than ${limits.queryMsMax} ms: ask for less, or by tags that few have`)
    throw error
  }
}
