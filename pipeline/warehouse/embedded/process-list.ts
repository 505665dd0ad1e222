import { sqlText } from './engine.ts'
import type { QueryContext } from './query-context.ts'

/**
 * SHOW PROCESSLIST as a server answers it: only the statements of clients, as they wrote them, with the ids and users of the port. The
 * engine itself has ids of its own and one user.
 */
export function processListSql({ running, ownNames }: QueryContext, queryId: string): string {
  const list = (values: Iterable<string>): string => `[${['', ...values].map(sqlText).join(', ')}]`
  const ids = list(running.keys())
  const users = list([...running.values()].map(({ user }) => user))
  const id = "Settings['log_comment']"
  const user = `transform(${id}, ${ids}, ${users}, '')`
  const query = `if(${id} = ${sqlText(queryId)}, 'SHOW PROCESSLIST', ${ownNames.sqlHiddenIn('query')})`
  const shown = [`${id} AS query_id`, `${id} AS initial_query_id`, `${user} AS user`, `${user} AS initial_user`]
  return (
    `SELECT * REPLACE (${shown.join(', ')}, ${query} AS query) ` +
    `FROM system.processes WHERE has(${ids}, ${id}) AND ${id} != '' ORDER BY elapsed DESC`
  )
}
