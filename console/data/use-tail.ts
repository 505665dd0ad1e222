import { useEffect, useRef, useState } from 'preact/hooks'
import { reasonOf } from './call.ts'
import { type Message, type Report, type TailFilters, tailOf } from './tail.ts'

export type TailState = 'connecting' | 'live' | 'stalled' | 'lost'

/** A time in which nobody listened here. */
export interface Gap {
  readonly id: number
  readonly gapMs: number
}

export interface Tail {
  readonly state: TailState
  /** Why it is lost. */
  readonly reason: string | undefined
  /** When the server last said something, by its clock. */
  readonly heardAtMs: number | undefined
  /** Newest first. */
  readonly items: readonly (Message | Gap)[]
  /** Messages a second that came in, of which `matchedPerSecond` match and `shownPerSecond` are shown. */
  readonly perSecond: number
  readonly matchedPerSecond: number
  readonly shownPerSecond: number
  /** Of those that match, one in so many is shown. */
  readonly oneIn: number
  /** Where the first message became a row: when, by the server's clock. */
  readonly storedAtMs: number | undefined
  clear(): void
}

export const itemsMax = 200
const windowMs = 5_000
const stalledMs = 5_000
const drawMs = 200
const retryMs = 1_000

/** What one tail has seen; `changed` is drawn at most every `drawMs`. */
class Seen {
  items: readonly (Message | Gap)[] = []
  reports: Report[] = []
  state: TailState = 'connecting'
  reason: string | undefined
  heardAtMs: number | undefined
  heardHereMs = 0
  storedAtMs: number | undefined
  #next = 1

  take(report: Report, keepsUp: boolean): void {
    const nowMs = performance.now()
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
    if (this.state === 'live' && performance.now() - this.heardHereMs > stalledMs) this.state = 'stalled'
  }

  #add(item: Message | Gap): void {
    this.items = [item, ...this.items.slice(0, itemsMax - 1)]
  }
}

const hiddenMsMax = 60_000

/**
 * A stream holds one of the few connections that a browser has to a server, so a page that nobody sees gives it up after a while. Not
 * at once: whoever types a command in a terminal above the page comes back to see its message.
 */
class InSight {
  readonly signal: AbortSignal
  readonly #hidden = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#hidden.signal])
    document.addEventListener('visibilitychange', this.#look)
    this.#look()
  }

  get isHidden(): boolean {
    return this.#hidden.signal.aborted
  }

  end(): void {
    document.removeEventListener('visibilitychange', this.#look)
    clearTimeout(this.#timer)
  }

  /** Resolves once the page is seen, where it had been given up. */
  async seen(): Promise<void> {
    while (this.isHidden && document.hidden)
      await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }))
  }

  readonly #look = (): void => {
    clearTimeout(this.#timer)
    if (document.hidden) this.#timer = setTimeout(() => this.#hidden.abort(), hiddenMsMax)
  }
}

/**
 * Follows the end of the log, and begins again when it is cut off. While it is paused what is shown stays, and the rest goes on counting.
 */
export function useTail(filters: TailFilters, isPaused = false, wantsStored = false): Tail {
  const seen = useRef(new Seen())
  const paused = useRef(isPaused)
  paused.current = isPaused
  const [, draw] = useState(0)
  const key = JSON.stringify(filters)

  useEffect(() => {
    const cancel = new AbortController()
    seen.current = new Seen()
    const drawing = setInterval(() => {
      seen.current.look()
      draw((count) => count + 1)
    }, drawMs)
    void follow(JSON.parse(key), wantsStored, cancel.signal, seen.current, () => !paused.current)
    return () => {
      cancel.abort()
      clearInterval(drawing)
    }
  }, [key, wantsStored])

  const { state, reason, heardAtMs, items, storedAtMs, reports } = seen.current
  const clear = (): void => {
    seen.current.items = []
    draw((count) => count + 1)
  }
  return { state, reason, heardAtMs, items, storedAtMs, ...ratesOf(reports), clear }
}

async function follow(
  filters: TailFilters,
  wantsStored: boolean,
  signal: AbortSignal,
  seen: Seen,
  keepsUp: () => boolean,
): Promise<void> {
  while (!signal.aborted) {
    const inSight = new InSight(signal)
    try {
      for await (const report of tailOf(filters, inSight.signal, wantsStored)) seen.take(report, keepsUp())
      seen.reason = 'Penstock ended the stream.'
    } catch (error) {
      seen.reason = inSight.isHidden ? 'It rested while this page was in the background.' : reasonOf(error)
    }
    inSight.end()
    if (signal.aborted) return
    await inSight.seen()
    seen.state = seen.heardHereMs === 0 && seen.reason === undefined ? 'connecting' : 'lost'
    await new Promise((resolve) => setTimeout(resolve, retryMs))
  }
}

function ratesOf(
  reports: readonly Report[],
): Pick<Tail, 'perSecond' | 'matchedPerSecond' | 'shownPerSecond' | 'oneIn'> {
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
