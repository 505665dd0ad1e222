import { availableParallelism, totalmem } from 'node:os'

/**
 * Upper limits for one statement of an analyst. Neither the URL nor the statement can lift them. 0, which means "no limit" to the engine,
 * means the upper limit here.
 */
const ceilings: ReadonlyMap<string, number> = new Map([
  // Several statements run at once, beside the inserts. With a limit one statement fails, not the process with all of them.
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

/** The settings of a request, with every upper limit added. A lower value of the client stays. */
export function belowCeilings(settings: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const bounded = new Map(settings)
  for (const [name, ceiling] of ceilings) {
    const wanted = Number(settings.get(name))
    bounded.set(name, String(wanted > 0 && wanted < ceiling ? wanted : ceiling))
  }
  return bounded
}
