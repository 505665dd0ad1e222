import { availableParallelism } from 'node:os'
import type { RoleName } from '#infra/roles/role-contract.ts'
import { engineThreads } from '#schemas/limits.ts'
import { settingsFileEnv, settingsTable } from '#schemas/settings.ts'

/** Settings that the warehouse reads from its environment; for its passwords it asks the supervisor. */
const warehouseSettings: readonly string[] = [
  settingsTable.dataDir.env,
  settingsTable.bind.env,
  settingsTable.hostname.env,
  settingsTable.clickhousePort.env,
  settingsTable.clickhouseReadonlyLimits.env,
  settingsTable.clickhouseAnalystLimits.env,
  settingsTable.queryLogDays.env,
  settingsTable.logLevel.env,
  settingsFileEnv,
]

/** What the system, Node and its allocator look at. */
const systemVariables =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TEMP|TMP|TZ|TZDIR|LANG|LANGUAGE|LC_\w+|LD_\w+|DYLD_\w+|NODE_\w+|UV_\w+|MALLOC_\w+|SYSTEMROOT)$/

/**
 * The environment of a role's process. That of the warehouse, where statements of others run, holds what it needs and no secret:
 * a process can't take from its environment what `/proc` once showed.
 */
export function environmentOf(role: RoleName, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  // What one thread of an edge takes, another gives back. With an arena for each thread glibc then keeps ever more of it: over ten
  // minutes at 980,000 messages/s 26 MB.
  if (role === 'edge') return { MALLOC_ARENA_MAX: '2', ...environment }
  if (role !== 'warehouse') return environment
  return {
    // The engine runs each statement on one of libuv's threads; with the usual four, an analyst's query would hold up an insert.
    UV_THREADPOOL_SIZE: String(engineThreads(availableParallelism())),
    ...Object.fromEntries(
      Object.entries(environment).filter(([name]) => systemVariables.test(name) || warehouseSettings.includes(name)),
    ),
  }
}
