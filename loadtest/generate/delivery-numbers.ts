import type { SequenceRange } from '#loadtest/ledger/ledger.ts'

/** Messages with numbers from…to−1 on their connection are those of the sequence numbers from `sequence` on. */
interface NumberedRun {
  readonly sequence: number
  readonly from: number
  to: number
}

/**
 * The numbers that messages have on one connection, from 0 and without gaps. Sequence numbers have gaps there where others between them were
 * settled before the connection was lost: each gap is a further run.
 */
export class DeliveryNumbers {
  #runs: NumberedRun[] = []
  #next = 0

  /** What the next message's sequence number lacks to its number. */
  offsetOf(sequence: number): number {
    return this.#next - sequence
  }

  /** So many messages from this one on have their numbers. */
  give(sequence: number, count: number): void {
    const last = this.#runs.at(-1)
    if (last !== undefined && sequence - last.sequence === this.#next - last.from) last.to += count
    else this.#runs.push({ sequence, from: this.#next, to: this.#next + count })
    this.#next += count
  }

  /** Sequence numbers of the messages first…last, both included; numbers that nobody has are left out. */
  *sequencesOf(first: number, last: number): Generator<SequenceRange> {
    for (const { sequence, from, to } of this.#runs) {
      const [begin, end] = [Math.max(first, from), Math.min(last + 1, to)]
      if (begin < end) yield { from: sequence + begin - from, to: sequence + end - from }
    }
  }
}
