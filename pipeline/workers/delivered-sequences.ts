/**
 * Which batches of each edge are settled, so that one that the edge appended twice (its first append had no answer, but took
 * effect) becomes rows once. Kept as text in the note beside the group's position, so it is exactly as old as the position:
 *
 *   edgeId SP epoch SP from-to,from-to …  one line an edge and epoch, least recently seen first
 *
 * A sequence counts as settled only if it was seen: what is forgotten for want of room is delivered again, never left out.
 */
import type { BatchStamp } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'

/** Longest text; with an intent it must fit the 4,000 characters of a commit. */
const textLengthMax = 2_500
/** The epoch before the newest may still have an append in flight when its edge starts anew. */
const epochsPerEdgeMax = 2

type Interval = readonly [from: number, to: number]

export class DeliveredSequences {
  /** By `edgeId SP epoch`, least recently seen first; intervals ascend and never touch. */
  readonly #intervals: Map<string, readonly Interval[]>

  constructor(text = '') {
    this.#intervals = new Map(text === '' ? [] : text.split('\n').map(lineFromText))
  }

  copy(): DeliveredSequences {
    const copy = new DeliveredSequences()
    for (const [key, intervals] of this.#intervals) copy.#intervals.set(key, intervals)
    return copy
  }

  has(stamp: BatchStamp): boolean {
    const intervals = this.#intervals.get(keyOf(stamp)) ?? []
    return intervals.some(([from, to]) => stamp.sequence >= from && stamp.sequence <= to)
  }

  add(stamp: BatchStamp): void {
    assert(Number.isSafeInteger(stamp.sequence), `a batch is stamped with a sequence, not ${stamp.sequence}`)
    const key = keyOf(stamp)
    const intervals = this.#intervals.get(key) ?? []
    this.#intervals.delete(key)
    this.#intervals.set(key, withSequence(intervals, stamp.sequence))
    if (intervals.length === 0) this.#forgetOldEpochs(stamp.edgeId)
  }

  /** At most `textLengthMax` characters; forgets what does not fit. */
  text(): string {
    for (;;) {
      const text = [...this.#intervals]
        .map(([key, intervals]) => `${key} ${intervals.map((one) => one.join('-')).join(',')}`)
        .join('\n')
      if (text.length <= textLengthMax) return text
      const [oldest] = this.#intervals
      if (!oldest) return ''
      const [key, intervals] = oldest
      // The last edge keeps its newest sequences.
      if (this.#intervals.size > 1) this.#intervals.delete(key)
      else this.#intervals.set(key, intervals.slice(Math.ceil(intervals.length / 2)))
    }
  }

  #forgetOldEpochs(edgeId: string): void {
    const keys = [...this.#intervals.keys()].filter((key) => key.startsWith(`${encodeURIComponent(edgeId)} `))
    for (const key of keys.slice(0, -epochsPerEdgeMax)) this.#intervals.delete(key)
  }
}

function keyOf({ edgeId, epoch }: BatchStamp): string {
  return `${encodeURIComponent(edgeId)} ${epoch}`
}

function withSequence(intervals: readonly Interval[], sequence: number): readonly Interval[] {
  const last = intervals.at(-1)
  // The usual case: the next one.
  if (last && sequence === last[1] + 1) return [...intervals.slice(0, -1), [last[0], sequence]]
  const merged: Interval[] = []
  let [from, to] = [sequence, sequence]
  for (const interval of intervals) {
    if (interval[1] + 1 < from || interval[0] > to + 1) merged.push(interval)
    else [from, to] = [Math.min(from, interval[0]), Math.max(to, interval[1])]
  }
  merged.push([from, to])
  return merged.sort((one, other) => one[0] - other[0])
}

function lineFromText(line: string): [string, readonly Interval[]] {
  const [edgeId = '', epoch = '', list = ''] = line.split(' ')
  const intervals = list.split(',').map((text): Interval => {
    const [from = Number.NaN, to = Number.NaN] = text.split('-').map(Number)
    return [from, to]
  })
  return [`${edgeId} ${epoch}`, intervals.filter(([from, to]) => from <= to)]
}
