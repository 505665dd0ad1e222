import type { LatencyHistogram } from '#loadtest/ledger/latency.ts'

/**
 * When the messages in flight of one connection were written, one entry a write: a queue of (end of run, moment). A run of
 * PUBACKs then costs one histogram addition for each write it covers, not for each message.
 */
export class SendTimes {
  #ends: number[] = []
  #atUs: number[] = []
  #head = 0

  /** Messages up to `end` (exclusive) that no earlier entry covers were written at `atUs`. */
  push(end: number, atUs: number): void {
    this.#ends.push(end)
    this.#atUs.push(atUs)
  }

  /** HOT: messages from…to−1 were acknowledged at `nowUs`; entries before `from` are forgotten. */
  addLatencies(histogram: LatencyHistogram, from: number, to: number, nowUs: number): void {
    let sequence = from
    while (sequence < to && this.#head < this.#ends.length) {
      const end = this.#ends[this.#head] as number
      if (end <= sequence) {
        this.#head++
        continue
      }
      const covered = Math.min(end, to)
      histogram.add(nowUs - (this.#atUs[this.#head] as number), covered - sequence)
      sequence = covered
    }
    if (this.#head > 1024) this.#compact()
  }

  #compact(): void {
    this.#ends = this.#ends.slice(this.#head)
    this.#atUs = this.#atUs.slice(this.#head)
    this.#head = 0
  }
}
