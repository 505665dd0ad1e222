/**
 * Properties that an endpoint's messages are stamped with. A key that the message has already gets the enrichment's value, and of a key
 * given twice the last one counts.
 */
import type { Path } from '#pipeline/routing/condition/needs.ts'
import { twinPathFrom } from '#pipeline/routing/condition/path.ts'
import { SyntaxFault } from '#pipeline/routing/condition/problem.ts'
import { lengthPrefixed, longBytes } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import type { EnvelopeScan } from './envelope-scan.ts'
import { SenderText } from './sender.ts'
import type { RecordTwins } from './sender-twins.ts'
import { SuffixTable } from './suffix-table.ts'
import { type TwinValue, textOf } from './twin-value.ts'

export interface Enrichment {
  readonly key: string
  /** Text, `$iothubname`, or a path into the twin of the sender. A path where nothing stands is stamped as it is written, as the hub does. */
  readonly value: string
}

export interface EnrichedMaps {
  /** Both maps as Avro. */
  readonly bytes: Uint8Array
  /** Of keys and values: what counts as the size of properties. */
  readonly textBytes: number
}

/** Below `tags`, `properties.desired` or `properties.reported`. */
const twinPathPattern = /^\$twin\.((?:tags|properties\.(?:desired|reported))\..+)$/is

/** The path that an enrichment stamps the value of. Undefined of text; `fault` of what looks like a path and is none. */
export function twinPathOf(value: string): { readonly path: Path } | { readonly fault: string } | undefined {
  if (!/^\$twin\b/i.test(value)) return undefined
  const [, path] = twinPathPattern.exec(value) ?? []
  if (path === undefined)
    return {
      fault: 'a path in a twin begins with $twin.tags., $twin.properties.desired. or $twin.properties.reported.',
    }
  try {
    return { path: twinPathFrom(path, value.length - path.length) }
  } catch (error) {
    if (error instanceof SyntaxFault) return { fault: error.finding.message }
    throw error
  }
}

/** What one message is stamped with. */
class Stamps {
  /** By key. */
  readonly texts: ReadonlyMap<string, string>
  readonly keys: readonly Buffer[]
  readonly entries: Uint8Array
  readonly textBytes: number

  constructor(texts: ReadonlyMap<string, string>) {
    this.texts = texts
    this.keys = Array.from(texts.keys(), (key) => Buffer.from(key))
    this.entries = Buffer.concat([...texts].flat().map((text) => lengthPrefixed(Buffer.from(text))))
    this.textBytes = [...texts].flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  }
}

interface TwinStamp {
  readonly key: string
  /** As it is written. */
  readonly value: string
  readonly path: Path
}

/** A count as Avro writes it. */
const longestLongBytes = 10
/** As Avro writes the length of a text. */
const longestLengthBytes = 4

export class Enricher {
  readonly #fixed: Stamps
  readonly #fromTwins: readonly TwinStamp[]
  readonly #known = new SuffixTable<EnrichedMaps>()
  readonly #sender = new SenderText()
  /** Of the sender before: most messages follow one of the same device. */
  #last: { readonly values: readonly TwinValue[]; readonly stamps: Stamps } | undefined

  constructor(enrichments: readonly Enrichment[], hubName: string) {
    const byKey = new Map(enrichments.map(({ key, value }) => [key, value === '$iothubname' ? hubName : value]))
    this.#fixed = new Stamps(byKey)
    this.#fromTwins = Array.from(byKey, ([key, value]) => {
      const found = twinPathOf(value)
      return found !== undefined && 'path' in found ? [{ key, value, path: found.path }] : []
    }).flat()
  }

  /** Whether what it stamps depends on who sent the message. */
  get asksTwins(): boolean {
    return this.#fromTwins.length > 0
  }

  get twinPaths(): readonly Path[] {
    return this.#fromTwins.map(({ path }) => path)
  }

  /** By which an envelope of a selection grows at most. */
  stampBytesMax(twins: RecordTwins | undefined): number {
    const bytes = this.#fixed.entries.length + longestLongBytes
    if (twins === undefined) return bytes
    const indexes = this.#fromTwins.map(({ path }) => twins.indexOf(path))
    const longest = indexes.map(() => 0)
    for (const values of twins.all())
      for (const [place, index] of indexes.entries())
        longest[place] = Math.max(longest[place] ?? 0, 3 * (textOf(values[index])?.length ?? 0))
    return longest.reduce((sum, more) => sum + more + longestLengthBytes, bytes)
  }

  /** What the message entered is stamped with, by key. */
  stampsOf(scan: EnvelopeScan, twins: RecordTwins | undefined): ReadonlyMap<string, string> {
    return this.#stampsOf(scan, twins).texts
  }

  /**
   * The maps of the envelope entered, stamped. Its `end` is known afterwards. HOT: per enriched message.
   * @param twins of its selection
   * @throws BATCH_CORRUPT
   */
  mapsOf(scan: EnvelopeScan, twins: RecordTwins | undefined): EnrichedMaps {
    if (this.asksTwins) {
      const stamps = this.#stampsOf(scan, twins)
      scan.readMaps()
      return this.#enrich(scan, stamps)
    }
    const known = this.#known.find(scan)
    if (known !== undefined) return known
    const enriched = this.#enrich(scan, this.#fixed)
    this.#known.keep(scan, enriched)
    return enriched
  }

  #stampsOf(scan: EnvelopeScan, twins: RecordTwins | undefined): Stamps {
    if (!this.asksTwins || twins === undefined) return this.#fixed
    const values = twins.of(this.#sender.of(scan))
    if (values === undefined) return this.#fixed
    if (this.#last?.values === values) return this.#last.stamps
    const texts = new Map(this.#fixed.texts)
    for (const { key, value, path } of this.#fromTwins) texts.set(key, textOf(values[twins.indexOf(path)]) ?? value)
    const stamps = new Stamps(texts)
    this.#last = { values, stamps }
    return stamps
  }

  /** Entries are copied as they are, so that whatever bytes a device sent stay the same. */
  #enrich(scan: EnvelopeScan, stamps: Stamps): EnrichedMaps {
    const bytes = scan.bytes as Buffer
    const kept: Uint8Array[] = []
    let { textBytes } = stamps
    scan.enterMap(scan.propertiesStart)
    while (scan.nextEntry()) {
      const key = bytes.subarray(scan.keyStart, scan.keyEnd)
      if (stamps.keys.some((stamp) => stamp.equals(key))) continue
      kept.push(bytes.subarray(scan.entryStart, scan.valueEnd))
      textBytes += scan.keyEnd - scan.keyStart + scan.valueEnd - scan.valueStart
    }
    scan.enterMap(scan.systemStart)
    while (scan.nextEntry()) textBytes += scan.keyEnd - scan.keyStart + scan.valueEnd - scan.valueStart
    const count = kept.length + stamps.texts.size
    const properties = count === 0 ? [] : [longBytes(count), ...kept, stamps.entries]
    return {
      bytes: Buffer.concat([...properties, Uint8Array.of(0), bytes.subarray(scan.systemStart, scan.end)]),
      textBytes,
    }
  }
}

/** Whether stamps have made the envelope entered larger than a message may be, in the hub's way of counting or as one block. */
export function isTooLarge(scan: EnvelopeScan, { bytes, textBytes }: EnrichedMaps): boolean {
  return (
    scan.bodyEnd - scan.bodyStart + textBytes > limits.bodyBytesMax ||
    scan.propertiesStart - scan.start + bytes.length > limits.blockBytesMax
  )
}
