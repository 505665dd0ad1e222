import { PenstockError } from './errors.ts'

/** What statements of one user may take; what is left out has the engine's own bound, or none. */
export interface RoleLimits {
  /** Of one statement: how long it runs, what memory it takes, what it reads and how large its result is. */
  readonly seconds?: number
  readonly memory?: number
  readonly rowsRead?: number
  readonly rowsResult?: number
  /** Statements of the user that run or wait at the same time. */
  readonly queries?: number
}

/** Names in a setting. */
const names: Readonly<Record<string, keyof RoleLimits>> = {
  seconds: 'seconds',
  memory: 'memory',
  'rows-read': 'rowsRead',
  'rows-result': 'rowsResult',
  queries: 'queries',
}

const units: Readonly<Record<string, number>> = { '': 1, kB: 1e3, MB: 1e6, GB: 1e9 }

/** As people give them, and as errors name them: `seconds=30`. */
export function limitText(limit: keyof RoleLimits, value: number): string {
  const [name = limit] = Object.entries(names).find(([, field]) => field === limit) ?? []
  return `${name}=${value}`
}

/**
 * Reads `seconds=30 memory=2GB rows-read=1000000000 rows-result=1000000 queries=4`; each may be left out.
 * @param env the setting's name @throws SETTINGS_INVALID
 */
export function roleLimitsFrom(text: string, env: string): RoleLimits {
  const limits: Partial<Record<keyof RoleLimits, number>> = {}
  for (const part of text.split(/[\s,]+/).filter((each) => each !== '')) {
    const [, name = '', digits = '', unit = ''] = /^([a-z-]+)=(\d+)(\w*)$/.exec(part) ?? []
    const field = Object.hasOwn(names, name) ? names[name] : undefined
    const factor = unit === '' || field === 'memory' ? units[unit] : undefined
    const value = Number(digits) * (factor ?? Number.NaN)
    if (field === undefined || !Number.isSafeInteger(value) || value < 1)
      throw new PenstockError(
        'SETTINGS_INVALID',
        `${env}: ${part} is no limit; allowed are ${Object.keys(names).join(', ')}, each as name=number, at least 1, memory also in kB, MB or GB`,
      )
    if (limits[field] !== undefined) throw new PenstockError('SETTINGS_INVALID', `${env} has ${name} twice`)
    limits[field] = value
  }
  return limits
}

/** Settings of ClickHouse that bound one statement. */
export const clickhouseLimits: Readonly<Partial<Record<keyof RoleLimits, string>>> = {
  seconds: 'max_execution_time',
  memory: 'max_memory_usage',
  rowsRead: 'max_rows_to_read',
  rowsResult: 'max_result_rows',
}
