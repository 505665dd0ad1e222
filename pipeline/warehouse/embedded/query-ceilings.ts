import { availableParallelism, totalmem } from 'node:os'
import { clickhouseLimits, limitText, type RoleLimits } from '#schemas/role-limits.ts'
import { EngineError } from './engine-error.ts'
import type { EngineUser } from './engine-rights.ts'

/** What an operator set for one user, and by which setting. */
export interface OperatorLimits {
  readonly limits: RoleLimits
  readonly setBy: string
}

/** Upper limits of an engine that nobody set others for. */
const usual: ReadonlyMap<string, number> = new Map([
  // Several statements run at once, beside the inserts. With a limit one statement fails, not the process with all of them.
  ['max_memory_usage', Math.floor(totalmem() / 4)],
  ['max_threads', availableParallelism()],
  ['max_final_threads', availableParallelism()],
  ['max_insert_threads', 1],
  ['max_execution_time', 600],
  ['max_result_bytes', 16 * 2 ** 30],
  ['max_temporary_data_on_disk_size_for_query', 16 * 2 ** 30],
])

/** Codes of ClickHouse for what a limit ends. */
const codes: Readonly<Record<number, keyof RoleLimits>> = {
  158: 'rowsRead',
  159: 'seconds',
  241: 'memory',
  396: 'rowsResult',
}

/**
 * Upper limits for statements of one user. Neither the URL nor the statement can lift them. 0, which means "no limit" to the engine, means
 * the upper limit here.
 */
export class QueryCeilings {
  readonly #user: EngineUser
  readonly #operator: OperatorLimits | undefined
  readonly #ceilings: ReadonlyMap<string, number>

  constructor(user: EngineUser, operator: OperatorLimits | undefined) {
    this.#user = user
    this.#operator = operator
    const own = Object.entries(operator?.limits ?? {}).flatMap(([limit, value]) => {
      const name = clickhouseLimits[limit as keyof RoleLimits]
      return name === undefined ? [] : [[name, value] as const]
    })
    this.#ceilings = new Map([...usual, ...own])
  }

  /** @param name of a setting, in any case */
  bounds(name: string): boolean {
    return this.#ceilings.has(name.toLowerCase())
  }

  /** The settings of a request, with every upper limit added. A lower value of the client stays. */
  below(settings: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
    const bounded = new Map(settings)
    for (const [name, ceiling] of this.#ceilings) {
      const wanted = Number(settings.get(name))
      bounded.set(name, String(wanted > 0 && wanted < ceiling ? wanted : ceiling))
    }
    return bounded
  }

  /** @param running statements of this user that run or wait already @throws EngineError 202 */
  admit(running: number): void {
    const most = this.#operator?.limits.queries
    if (most === undefined || running < most) return
    throw this.named(
      new EngineError(
        202,
        'TOO_MANY_SIMULTANEOUS_QUERIES',
        `Too many simultaneous queries for user ${this.#user}. Current: ${running}, maximum: ${most}`,
      ),
    )
  }

  /** The fault, with the name of the operator's limit that it is of. */
  named(error: EngineError): EngineError {
    const limit = error.number === 202 ? 'queries' : codes[error.number]
    const value = limit && this.#operator?.limits[limit]
    if (!limit || value === undefined || this.#operator === undefined) return error
    // What the whole process may take is no limit of one user.
    if (limit === 'memory' && /\btotal\b/i.test(error.message)) return error
    const text = `${error.message.replace(/\.$/, '')}. The limit of user ${this.#user} is ${limitText(limit, value)} (${this.#operator.setBy})`
    return error.message.includes(this.#operator.setBy) ? error : new EngineError(error.number, error.codeName, text)
  }
}
