/**
 * Which records were counted: each once, however many endpoints read it and whenever they do.
 *
 * An offset tells of a record that it is behind all others. One at an earlier offset was counted, unless the log was made anew: its offsets
 * begin at 0 again. Sequences of an edge go on, and so tell the two apart.
 *
 * Edges get new names for ever where they run as pods, so a partition keeps the stamps of `countedEdgesMax` of them: who was counted longest
 * ago is forgotten first. What an edge sends that comes back after that is counted all the same. But a batch that it appends a second time is
 * counted twice, and in a log that was made anew its batches are not counted before those of an edge that is known, or past the old offsets.
 */
import type { SelectionKey } from '#pipeline/routing/select/selection-cache.ts'
import { forgetOldest } from '#runtime/forget-oldest.ts'
import { limits } from '#schemas/limits.ts'

/** Where a record lies, and which batch it is. */
export type RecordPlace = Omit<SelectionKey, 'revision'>
type Stamp = RecordPlace['stamp']

interface Counted {
  /** The offset behind the last record that was counted. */
  next: number
  /** Of each edge, the last batch that was counted; who was counted longest ago comes first. */
  readonly batches: Map<string, Stamp>
}

export class CountedRecords {
  readonly #places = new Map<string, Counted>()

  /** @param part of the document of routes: a record is counted once for each. @returns false if it was counted before. HOT: per record */
  add({ topic, partition, offset, stamp }: RecordPlace, part: string): boolean {
    const key = `${topic}/${partition}/${part}`
    const counted = this.#places.get(key) ?? { next: 0, batches: new Map() }
    const before = counted.batches.get(stamp.edgeId)
    if (!isNew(stamp, before, offset >= counted.next)) return false
    counted.next = offset + 1
    counted.batches.delete(stamp.edgeId)
    counted.batches.set(stamp.edgeId, stamp)
    forgetOldest(counted.batches, limits.countedEdgesMax)
    this.#places.set(key, counted)
    return true
  }
}

/** @param isBehind its offset is behind those of all records that were counted */
function isNew({ epoch, sequence }: Stamp, before: Stamp | undefined, isBehind: boolean): boolean {
  if (before === undefined) return isBehind
  if (epoch === before.epoch) return sequence > before.sequence
  // The clock of an edge that started again may have been set back.
  return isBehind || epoch > before.epoch
}
