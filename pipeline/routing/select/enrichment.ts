/**
 * Properties that an endpoint's messages are stamped with. A key that the message has already gets the enrichment's value, and of a key
 * given twice the last one counts.
 */
import { lengthPrefixed, longBytes } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import type { EnvelopeScan } from './envelope-scan.ts'
import { SuffixTable } from './suffix-table.ts'

export interface Enrichment {
  readonly key: string
  /** Text, or `$iothubname`. A path into twins that do not exist is stamped as it is written, as the hub does. */
  readonly value: string
}

export interface EnrichedMaps {
  /** Both maps as Avro. */
  readonly bytes: Uint8Array
  /** Of keys and values: what counts as the size of properties. */
  readonly textBytes: number
}

/** A count as Avro writes it. */
const longestLongBytes = 10

export class Enricher {
  /** What is stamped, by key. */
  readonly stamps: ReadonlyMap<string, string>
  /** By which an envelope grows at most. */
  readonly stampBytes: number
  readonly #stampKeys: readonly Buffer[]
  readonly #stampEntries: Uint8Array
  readonly #known = new SuffixTable<EnrichedMaps>()

  constructor(enrichments: readonly Enrichment[], hubName: string) {
    this.stamps = new Map(enrichments.map(({ key, value }) => [key, value === '$iothubname' ? hubName : value]))
    this.#stampKeys = Array.from(this.stamps.keys(), (key) => Buffer.from(key))
    this.#stampEntries = Buffer.concat([...this.stamps].flat().map((text) => lengthPrefixed(Buffer.from(text))))
    this.stampBytes = this.#stampEntries.length + longestLongBytes
  }

  /** The maps of the envelope entered, stamped. Its `end` is known afterwards. HOT: per enriched message. @throws BATCH_CORRUPT */
  mapsOf(scan: EnvelopeScan): EnrichedMaps {
    const known = this.#known.find(scan)
    if (known !== undefined) return known
    const enriched = this.#enrich(scan)
    this.#known.keep(scan, enriched)
    return enriched
  }

  /** Entries are copied as they are, so that whatever bytes a device sent stay the same. */
  #enrich(scan: EnvelopeScan): EnrichedMaps {
    const bytes = scan.bytes as Buffer
    const kept: Uint8Array[] = []
    let textBytes = 0
    scan.enterMap(scan.propertiesStart)
    while (scan.nextEntry()) {
      const key = bytes.subarray(scan.keyStart, scan.keyEnd)
      if (this.#stampKeys.some((stamp) => stamp.equals(key))) continue
      kept.push(bytes.subarray(scan.entryStart, scan.valueEnd))
      textBytes += scan.keyEnd - scan.keyStart + scan.valueEnd - scan.valueStart
    }
    scan.enterMap(scan.systemStart)
    while (scan.nextEntry()) textBytes += scan.keyEnd - scan.keyStart + scan.valueEnd - scan.valueStart
    for (const [key, value] of this.stamps) textBytes += Buffer.byteLength(key) + Buffer.byteLength(value)
    const count = kept.length + this.stamps.size
    const properties = count === 0 ? [] : [longBytes(count), ...kept, this.#stampEntries]
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
