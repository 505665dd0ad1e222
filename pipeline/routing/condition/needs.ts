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
  readonly #properties = new EntryList<string>()
  readonly #systemProperties = new EntryList<string>()
  readonly #bodyPaths = new EntryList<Path>()
  readonly #twinPaths = new EntryList<Path>()

  /** Names of application properties, folded. */
  get properties(): readonly string[] {
    return this.#properties.entries
  }

  /** Names of system properties as in conditions, without the dollar sign, folded: `connectiondeviceid`. */
  get systemProperties(): readonly string[] {
    return this.#systemProperties.entries
  }

  get bodyPaths(): readonly Path[] {
    return this.#bodyPaths.entries
  }

  get twinPaths(): readonly Path[] {
    return this.#twinPaths.entries
  }

  /** The index of the property of that name, in any case. */
  property(name: string): number {
    return this.#properties.indexOf(foldName(name))
  }

  /** The index of the system property of that name, in any case and without the dollar sign. */
  systemProperty(name: string): number {
    return this.#systemProperties.indexOf(foldName(name))
  }

  bodyPath(path: Path): number {
    return this.#bodyPaths.indexOf(path)
  }

  hasBodyPath(path: Path): boolean {
    return this.#bodyPaths.has(path)
  }

  twinPath(path: Path): number {
    return this.#twinPaths.indexOf(path)
  }
}

/** Entries in the order in which they were first asked for. */
class EntryList<Entry extends string | Path> {
  readonly entries: Entry[] = []
  readonly #indexes = new Map<string, number>()

  indexOf(entry: Entry): number {
    const known = this.#indexes.get(keyOf(entry))
    if (known !== undefined) return known
    this.#indexes.set(keyOf(entry), this.entries.length)
    return this.entries.push(entry) - 1
  }

  has(entry: Entry): boolean {
    return this.#indexes.has(keyOf(entry))
  }
}

/** JSON tells the index 0 from the name "0". */
const keyOf = (entry: string | Path): string => JSON.stringify(entry)
