/** What a page has seen of the tail: the last messages, gaps between them, and how much came in. */
import type { Message, Report } from './tail.ts'

export type TailState = 'connecting' | 'live' | 'stalled' | 'lost'

/** A time in which nobody listened here. */
export interface Gap {
  readonly id: number
  readonly gapMs: number
}

export interface Rates {
  /** Messages a second that came in, of which `matchedPerSecond` match and `shownPerSecond` are shown. */
  readonly perSecond: number
  readonly matchedPerSecond: number
  readonly shownPerSecond: number
  /** Of those that match, one in so many is shown. */
  readonly oneIn: number
}

export const itemsMax = 200
const windowMs = 5_000
const stalledMs = 5_000

export class Seen {
  items: readonly (Message | Gap)[] = []
  reports: Report[] = []
  state: TailState = 'connecting'
  reason: string | undefined
  heardAtMs: number | undefined
  heardHereMs = 0
  storedAtMs: number | undefined
  readonly #nowMs: () => number
  #next = 1

  /** @param nowMs never jumps */
  constructor(nowMs = () => performance.now()) {
    this.#nowMs = nowMs
  }

  take(report: Report, keepsUp: boolean): void {
    const nowMs = this.#nowMs()
    if (this.state === 'lost' && this.heardHereMs > 0) this.#add({ id: this.#next++, gapMs: nowMs - this.heardHereMs })
    this.state = 'live'
    this.reason = undefined
    this.heardAtMs = report.at
    this.heardHereMs = nowMs
    this.storedAtMs ??= report.stored?.at
    this.reports.push(report)
    while ((this.reports[0]?.at ?? report.at) < report.at - windowMs) this.reports.shift()
    if (!keepsUp) return
    for (const message of report.messages) this.#add({ ...message, id: this.#next++ })
  }

  look(): void {
    if (this.state === 'live' && this.#nowMs() - this.heardHereMs > stalledMs) this.state = 'stalled'
  }

  #add(item: Message | Gap): void {
    this.items = [item, ...this.items.slice(0, itemsMax - 1)]
  }
}

/** Messages a second, by the reports of the last seconds. */
export function ratesOf(reports: readonly Report[]): Rates {
  let [seen, skipped, matched, shown] = [0, 0, 0, 0]
  for (const report of reports) {
    seen += report.seen
    skipped += report.skipped
    matched += report.matched
    shown += report.messages.length
  }
  const spanMs = (reports.at(-1)?.at ?? 0) - (reports[0]?.at ?? 0)
  const seconds = Math.max(spanMs, 1_000) / 1_000
  // Of what nobody looked at, as many match as of the rest.
  const matching = matched + (seen === 0 ? skipped : (skipped * matched) / seen)
  return {
    perSecond: (seen + skipped) / seconds,
    matchedPerSecond: matching / seconds,
    shownPerSecond: shown / seconds,
    oneIn: shown === 0 ? 1 : Math.max(1, matching / shown),
  }
}
