/**
 * Records that readers share: those of several groups at the same place decode a record once, and a reader that waits for its client holds
 * no more than its position. Bounded in bytes, the least recently used goes first; nothing depends on what is kept.
 */
import type { LogRecord } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import type { ShownRecord } from './reading.ts'

/** Where records come from. */
export interface RecordSource {
  readonly name: string
  /** What was shown of another revision is not shown again. */
  readonly revision: number
  /** The records at `offset` or behind it, some at once. */
  read(partition: number, offset: number): Promise<readonly LogRecord[]>
  show(record: LogRecord): Promise<ShownRecord>
}

/** As it was read, until somebody wants to see it. */
interface Kept {
  readonly bytes: number
  readonly raw: LogRecord | undefined
  readonly shown: ShownRecord | undefined
}

/** Key, stamp, buffers and their places: what a record costs that shows nothing. */
const recordOverheadBytes = 1_024

export class RecordShelf {
  /** Of what is kept, with what it costs beside its bytes. */
  readonly #bytesMax: number
  readonly #kept = new Map<string, Kept>()
  readonly #awaited = new Map<string, Promise<ShownRecord | undefined>>()
  #bytes = 0

  constructor(bytesMax: number = limits.readingShelfBytesMax) {
    this.#bytesMax = bytesMax
  }

  /** Of what is kept. */
  get bytes(): number {
    return this.#bytes
  }

  /** As `EventHub.recordAt`. @throws what the source throws */
  at(
    source: RecordSource,
    partition: number,
    offset: number,
  ): ShownRecord | undefined | Promise<ShownRecord | undefined> {
    const key = keyOf(source, partition, offset)
    const known = this.#kept.get(key)
    if (known?.shown !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, known)
      return known.shown
    }
    const awaited = this.#awaited.get(key)
    if (awaited !== undefined) return awaited
    const loading = this.#load(source, partition, offset, known?.raw).finally(() => this.#awaited.delete(key))
    this.#awaited.set(key, loading)
    return loading
  }

  async #load(
    source: RecordSource,
    partition: number,
    offset: number,
    known: LogRecord | undefined,
  ): Promise<ShownRecord | undefined> {
    const { revision } = source
    const records = known === undefined ? await source.read(partition, offset) : [known]
    const [first, ...ahead] = records
    if (first === undefined) return undefined
    let before = offset - 1
    for (const record of records) {
      assert(record.offset > before, `records from ${offset} on lie behind one another, and ${record.offset} does not`)
      before = record.offset
    }
    // What was read may be of a log, and what is shown of routes, that were replaced meanwhile.
    if (source.revision !== revision) return await source.show(first)
    for (const record of ahead) {
      const key = keyOf(source, partition, record.offset)
      if (!this.#kept.has(key)) this.#keep(key, { bytes: record.value.length, raw: record, shown: undefined })
    }
    const shown = await source.show(first)
    if (source.revision !== revision) return shown
    const bytes = shown.blocks.reduce((sum, { length }) => sum + length, shown.indexes?.byteLength ?? 0)
    this.#keep(keyOf(source, partition, first.offset), { bytes, raw: undefined, shown })
    return shown
  }

  #keep(key: string, { bytes, raw, shown }: Kept): void {
    const kept: Kept = { bytes: bytes + recordOverheadBytes, raw, shown }
    this.#forget(key)
    if (kept.bytes > this.#bytesMax) return
    this.#kept.set(key, kept)
    this.#bytes += kept.bytes
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#bytesMax) return
      this.#forget(oldest)
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0
    assert(this.#bytes >= 0, 'what is dropped was counted when it was kept')
    this.#kept.delete(key)
  }
}

function keyOf({ name, revision }: RecordSource, partition: number, offset: number): string {
  return `${name} ${revision} ${partition} ${offset}`
}
