import type { Queries } from './database.ts'

/** Below it, whatever plan the planner takes is a good one. */
const pagesMin = 8

/**
 * Tells the planner of tables that have doubled since it last heard of them. PostgreSQL's own autovacuum does this, and the embedded
 * one has none: without it each page of a list sorts the whole table.
 * Cost: one look at the catalogue; of a table that has doubled, at most 30,000 of its rows are read.
 */
export async function analyzeGrown(queries: Queries): Promise<void> {
  const grown = await queries.query<{ readonly relname: string }>(
    `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'penstock')
     AND pg_relation_size(oid) / current_setting('block_size')::integer >= greatest(2 * relpages, ${pagesMin})`,
  )
  for (const { relname } of grown) await queries.query(`ANALYZE penstock.${relname}`)
}
