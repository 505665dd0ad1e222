/** A step of a path: the name of a member, or the index of an element. */
export type PathStep = string | number

/** Never empty. The steps of a twin path are in lower case, as the names of twins have none; those of a body path are as written. */
export type Path = readonly PathStep[]

/** Which entries of its `Needs` one condition reads: indexes in ascending order, each once. */
export interface Uses {
  readonly properties: readonly number[]
  readonly systemProperties: readonly number[]
  readonly bodyPaths: readonly number[]
  readonly twinPaths: readonly number[]
}

/** A name without its case: names are compared in this form. */
export const foldName = (name: string): string => name.toLowerCase()

/**
 * The names and paths that conditions ask for, each once: the lists that the indexes of `Facts` count in. Conditions that are read with
 * one `Needs` share it. Entries are only ever added, so an index stays what it is.
 */
export class Needs {
  /** Names of application properties, folded. */
  readonly properties: readonly string[] = []
  /** Names of system properties as in conditions, without the dollar sign, folded: `connectiondeviceid`. */
  readonly systemProperties: readonly string[] = []
  readonly bodyPaths: readonly Path[] = []
  readonly twinPaths: readonly Path[] = []
  readonly #indexes = new Map<string, number>()

  /** The index of the property of that name, in any case. */
  property(name: string): number {
    return this.#indexOf(this.properties as string[], 'property', foldName(name))
  }

  /** The index of the system property of that name, in any case and without the dollar sign. */
  systemProperty(name: string): number {
    return this.#indexOf(this.systemProperties as string[], 'system', foldName(name))
  }

  bodyPath(path: Path): number {
    return this.#indexOf(this.bodyPaths as Path[], 'body', path)
  }

  hasBodyPath(path: Path): boolean {
    return this.#indexes.has(keyOf('body', path))
  }

  twinPath(path: Path): number {
    return this.#indexOf(this.twinPaths as Path[], 'twin', path)
  }

  #indexOf<Entry>(list: Entry[], kind: string, entry: Entry): number {
    const key = keyOf(kind, entry)
    const known = this.#indexes.get(key)
    if (known !== undefined) return known
    this.#indexes.set(key, list.length)
    return list.push(entry) - 1
  }
}

/** JSON tells the index 0 from the name "0". */
const keyOf = (kind: string, entry: unknown): string => `${kind} ${JSON.stringify(entry)}`
