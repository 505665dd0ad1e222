/**
 * The ledger of one device: which of its sequence numbers were sent, settled by a PUBACK, refused, and sent again.
 *
 *   sequence  0 ……………… settledTo ……………………… sent
 *             all settled │ in flight; `settledBeyond` holds those settled out of order
 *
 * The packet id is a function of the sequence number and the window is below 65,535, so a PUBACK names exactly one message
 * and nothing is kept per message. Memory: the frontier, at most a window of numbers, and the ranges that were exceptions.
 */
import { PenstockError } from '#schemas/errors.ts'

/** Sequence numbers `from` ≤ n < `to`. */
export interface SequenceRange {
  readonly from: number
  readonly to: number
}

/** What a device's ledger says at the end; plain data, so that it crosses processes. */
export interface DeviceLedger {
  readonly deviceId: string
  /** Sequence numbers 0 … sent−1 were written to a socket at least once. */
  readonly sent: number
  readonly acknowledged: readonly SequenceRange[]
  /** Answered with a reason code that says the message was not taken. */
  readonly refused: readonly SequenceRange[]
  /** One entry a re-send; a number in n of them may be stored n+1 times. Not merged. */
  readonly resent: readonly SequenceRange[]
}

/** Packet ids are 1 … 65,535 and repeat; a window must stay below that. */
export const packetIds = 65_535

/** Ranges of exceptions one device may have before the run is given up: 1 MB of them over 10,000 devices is normal, this is not. */
const exceptionRangesMax = 100_000

/** The packet id under which a sequence number travels, in every connection of its device. */
export function packetIdOfSequence(sequence: number): number {
  return (sequence % packetIds) + 1
}

export class SequenceLedger {
  sent = 0
  settledTo = 0
  /** PUBACKs that came before an earlier message's [MQTT-4.6.0-2]. */
  acknowledgedOutOfOrder = 0
  /** PUBACKs for a message that was not in flight. */
  acknowledgedUnexpected = 0
  readonly #settledBeyond = new Set<number>()
  readonly #refused: SequenceRange[] = []
  readonly #resent: SequenceRange[] = []

  get inFlight(): number {
    return this.sent - this.settledTo - this.#settledBeyond.size
  }

  /** True if the next messages in flight are settled one after the other, so `settleInOrder` may be used. */
  get inOrder(): boolean {
    return this.#settledBeyond.size === 0
  }

  /** The next `count` messages in flight were acknowledged. Only while `inOrder`, and within what is in flight. */
  settleInOrder(count: number): void {
    this.settledTo += count
  }

  /** One PUBACK, in any order. @returns true if it settled a message */
  settle(packetId: number, isRefused: boolean): boolean {
    if (packetId === 0) {
      this.acknowledgedUnexpected++
      return false
    }
    const sequence = this.settledTo + ((packetId - 1 - (this.settledTo % packetIds) + packetIds) % packetIds)
    return this.settleSequence(sequence, isRefused)
  }

  /** One message, in any order. @returns true if that settled it */
  settleSequence(sequence: number, isRefused: boolean): boolean {
    if (sequence < this.settledTo || sequence >= this.sent || this.#settledBeyond.has(sequence)) {
      this.acknowledgedUnexpected++
      return false
    }
    if (isRefused) addToRanges(this.#refused, sequence)
    if (sequence === this.settledTo) {
      this.settledTo++
      while (this.#settledBeyond.delete(this.settledTo)) this.settledTo++
    } else {
      this.#settledBeyond.add(sequence)
      this.acknowledgedOutOfOrder++
    }
    return true
  }

  /** What is sent and not settled, in order. */
  unsettled(): SequenceRange[] {
    return rangesWithout({ from: this.settledTo, to: this.sent }, this.#settledBeyond)
  }

  /** These messages are written once more. */
  noteResent({ from, to }: SequenceRange): void {
    const last = this.#resent.at(-1)
    if (last?.to === from) this.#resent[this.#resent.length - 1] = { from: last.from, to }
    else this.#resent.push({ from, to })
    assertBounded(this.#resent)
  }

  report(deviceId: string): DeviceLedger {
    const beyond: SequenceRange[] = []
    for (const sequence of [...this.#settledBeyond].sort((a, b) => a - b)) addToRanges(beyond, sequence)
    const settled = [...(this.settledTo > 0 ? [{ from: 0, to: this.settledTo }] : []), ...beyond]
    return {
      deviceId,
      sent: this.sent,
      acknowledged: subtractRanges(settled, this.#refused),
      refused: [...this.#refused],
      resent: [...this.#resent],
    }
  }
}

export function countOfRanges(ranges: readonly SequenceRange[]): number {
  let count = 0
  for (const { from, to } of ranges) count += to - from
  return count
}

/** Sorted, disjoint ranges that hold what any of `ranges` holds. */
export function unionOfRanges(ranges: readonly SequenceRange[]): SequenceRange[] {
  const union: SequenceRange[] = []
  for (const range of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = union.at(-1)
    if (last && range.from <= last.to) union[union.length - 1] = { from: last.from, to: Math.max(last.to, range.to) }
    else if (range.to > range.from) union.push(range)
  }
  return union
}

/** What is in `ranges` and not in `removed`; both are made disjoint and sorted first. */
export function subtractRanges(ranges: readonly SequenceRange[], removed: readonly SequenceRange[]): SequenceRange[] {
  const gone = unionOfRanges(removed)
  const rest: SequenceRange[] = []
  let first = 0
  for (const { from, to } of unionOfRanges(ranges)) {
    let start = from
    while (first < gone.length && (gone[first]?.to ?? 0) <= from) first++
    for (let index = first; index < gone.length; index++) {
      const hole = gone[index]
      if (!hole || hole.from >= to) break
      if (hole.from > start) rest.push({ from: start, to: hole.from })
      start = Math.max(start, hole.to)
    }
    if (start < to) rest.push({ from: start, to })
  }
  return rest
}

function rangesWithout(range: SequenceRange, removed: ReadonlySet<number>): SequenceRange[] {
  const holes = [...removed].map((sequence) => ({ from: sequence, to: sequence + 1 }))
  return subtractRanges([range], holes)
}

function addToRanges(ranges: SequenceRange[], sequence: number): void {
  const last = ranges.at(-1)
  if (last && last.to === sequence) ranges[ranges.length - 1] = { from: last.from, to: sequence + 1 }
  else ranges.push({ from: sequence, to: sequence + 1 })
  assertBounded(ranges)
}

function assertBounded(ranges: readonly SequenceRange[]): void {
  if (ranges.length > exceptionRangesMax)
    throw new PenstockError(
      'LOADTEST_LEDGER_FULL',
      `more than ${exceptionRangesMax} ranges of refused or re-sent messages`,
    )
}
