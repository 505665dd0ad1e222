import type { PenstockError } from '#schemas/errors.ts'

export interface CommandArguments {
  readonly words: readonly string[]
  /** By name without its dashes; the value is empty for one that takes none. */
  readonly flags: ReadonlyMap<string, string>
}

/**
 * Takes a command line apart.
 * @param options names of options, and whether each takes a value
 * @param invalid makes the fault of a line that is not understood
 */
export function argumentsOf(
  args: readonly string[],
  options: Readonly<Record<string, 'value' | 'bare'>>,
  invalid: (why: string) => PenstockError,
): CommandArguments {
  const words: string[] = []
  const flags = new Map<string, string>()
  const rest = [...args]
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (!arg.startsWith('--')) {
      words.push(arg)
      continue
    }
    const name = arg.slice(2)
    const kind = Object.hasOwn(options, name) ? options[name] : undefined
    const value = kind === 'value' ? rest.shift() : kind === 'bare' ? '' : undefined
    if (value === undefined) throw invalid(`${arg} is not an option, or lacks its value`)
    flags.set(name, value)
  }
  return { words, flags }
}
