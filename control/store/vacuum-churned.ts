import type { Queries } from './database.ts'

/** Tables whose rows live for moments. What is left of them is many times what is in them. */
const churned = [
  ...[
    'queues',
    'commands',
    'feedback',
    'dead_commands',
    'uploads',
    'file_notifications',
    'twin_events',
    'jobs',
    'job_devices',
  ],
]

const deadRowsMin = 5_000

/**
 * Gives back the room of rows that are gone. PostgreSQL's own autovacuum does this, and the embedded one has none: without it a queue that
 * is always short would fill the disk.
 * Cost: one look at the statistics; some 15 ms for 10,000 rows that are gone.
 */
export async function vacuumChurned(queries: Queries): Promise<void> {
  await queries.query('SELECT pg_stat_force_next_flush()')
  const due = await queries.query<{ readonly relname: string }>(
    `SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'penstock' AND relname = ANY($1::text[])
     AND n_dead_tup > ${deadRowsMin} + n_live_tup / 5`,
    [churned],
  )
  for (const { relname } of due) await queries.query(`VACUUM penstock.${relname}`)
}
