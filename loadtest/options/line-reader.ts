import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'

/** A command line while it is read: its values, and everything that is wrong with it. */
export class LineReader {
  readonly faults: string[] = []
  readonly #values: Readonly<Record<string, unknown>>

  /** An option that does not exist, or lacks its value, is a fault; then the line has no values. */
  constructor(args: readonly string[], options: ParseArgsOptionsConfig) {
    let values: Readonly<Record<string, unknown>> = {}
    try {
      values = parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values
    } catch (error) {
      this.faults.push(error instanceof Error ? error.message : String(error))
    }
    this.#values = values
  }

  /** Names of the options that are given. */
  get given(): string[] {
    return Object.keys(this.#values)
  }

  isSet(name: string): boolean {
    return this.#values[name] === true
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    return typeof value === 'string' ? value : undefined
  }

  integer(name: string, standard: number, min: number, max: number): number {
    return this.#bounded(name, min, max, 'an integer', Number.isInteger) ?? standard
  }

  number(name: string, min: number, max: number): number | undefined {
    return this.#bounded(name, min, max, 'a number', (value) => !Number.isNaN(value))
  }

  /** What `read` gives; or nothing, and why it is invalid is one more fault. */
  collect<T>(read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      if (!isPenstockError(error, 'LOADTEST_OPTIONS_INVALID')) throw error
      this.faults.push(error.message)
      return undefined
    }
  }

  /** @throws LOADTEST_OPTIONS_INVALID with all faults, if there are any */
  assertFaultless(): void {
    if (this.faults.length > 0) throw new PenstockError('LOADTEST_OPTIONS_INVALID', this.faults.join('\n'))
  }

  #bounded(
    name: string,
    min: number,
    max: number,
    kind: string,
    isKind: (value: number) => boolean,
  ): number | undefined {
    const given = this.text(name)
    if (given === undefined) return undefined
    const value = Number(given)
    if (given.trim() !== '' && isKind(value) && value >= min && value <= max) return value
    this.faults.push(`--${name} ${given}: allowed is ${kind} from ${min} to ${max}`)
    return undefined
  }
}
