import { availableParallelism, totalmem } from 'node:os'

/**
 * What one statement of an analyst may take at most. Neither the URL nor the statement lifts it, and 0, which means "without limit" to
 * the engine, is the ceiling, too.
 */
const ceilings: ReadonlyMap<string, number> = new Map([
  // Several run at once, beside the inserts: a statement fails then, not the process with everybody's statements.
  ['max_memory_usage', Math.floor(totalmem() / 4)],
  ['max_threads', availableParallelism()],
  ['max_final_threads', availableParallelism()],
  ['max_insert_threads', 1],
  ['max_execution_time', 600],
  ['max_result_bytes', 16 * 2 ** 30],
  ['max_temporary_data_on_disk_size_for_query', 16 * 2 ** 30],
])

/** @param name of a setting, in any case */
export function ceilingOf(name: string): number | undefined {
  return ceilings.get(name.toLowerCase())
}

/** The settings of a request with every ceiling among them: the client's own value where it is lower. */
export function belowCeilings(settings: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const bounded = new Map(settings)
  for (const [name, ceiling] of ceilings) {
    const wanted = Number(settings.get(name))
    bounded.set(name, String(wanted > 0 && wanted < ceiling ? wanted : ceiling))
  }
  return bounded
}
