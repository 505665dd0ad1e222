/** A fault of a document, for whoever wrote it. `path` as in JavaScript: `endpoints[0].url`. */
export interface DocumentProblem {
  readonly path: string
  readonly message: string
  readonly severity: 'error' | 'warning'
  /** Within the text at `path`; lines and columns begin at 1. */
  readonly location?: TextLocation
}

export interface TextLocation {
  readonly start: { readonly line: number; readonly column: number }
  readonly end: { readonly line: number; readonly column: number }
}

/** Reads objects of a JSON document field by field. Every fault is kept, so that one answer names them all. */
export class DocumentReader {
  readonly problems: DocumentProblem[] = []

  fault(path: string, message: string): void {
    this.problems.push({ path, message, severity: 'error' })
  }

  get isFaulty(): boolean {
    return this.problems.some(({ severity }) => severity === 'error')
  }

  /** An object with fields of these names only; of anything else an empty one, and a fault. */
  object(path: string, value: unknown, names: readonly string[]): Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.fault(path, `an object is expected, this is ${kindOf(value)}`)
      return {}
    }
    for (const name of Object.keys(value))
      if (!names.includes(name)) this.fault(pathOf(path, name), `is not known here; allowed are ${names.join(', ')}`)
    return value as Readonly<Record<string, unknown>>
  }

  /** Left out: an empty list. */
  list(path: string, value: unknown, countMax: number): readonly unknown[] {
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) {
      this.fault(path, `a list is expected, this is ${kindOf(value)}`)
      return []
    }
    if (value.length > countMax) this.fault(path, `has ${value.length} entries, allowed are ${countMax}`)
    return value.slice(0, countMax)
  }

  text(path: string, value: unknown, fallback: string): string {
    if (value === undefined || value === null) return fallback
    if (typeof value === 'string') return value
    this.fault(path, `a text is expected, this is ${kindOf(value)}`)
    return fallback
  }

  boolean(path: string, value: unknown, fallback: boolean): boolean {
    if (value === undefined || value === null) return fallback
    if (typeof value === 'boolean') return value
    this.fault(path, `true or false is expected, this is ${kindOf(value)}`)
    return fallback
  }

  choice<Choice extends string>(path: string, value: unknown, choices: readonly Choice[], fallback: Choice): Choice {
    if (value === undefined || value === null) return fallback
    const found = choices.find((choice) => choice === value)
    if (found !== undefined) return found
    this.fault(path, `allowed is ${choices.join(', ')}, this is ${shown(value)}`)
    return fallback
  }

  integer(
    path: string,
    value: unknown,
    { min, max }: { readonly min: number; readonly max: number },
  ): number | undefined {
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
    this.fault(path, `an integer from ${min} to ${max} is expected, this is ${shown(value)}`)
    return undefined
  }
}

export const pathOf = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'left out'
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** A value within a message; never all of a long one. */
function shown(value: unknown): string {
  if (typeof value === 'object' || value === undefined) return kindOf(value)
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value)
}
