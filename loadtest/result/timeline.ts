import type { GeneratorInterval } from '#loadtest/generate/generator.ts'
import { type LatencyHistogram, type LatencySnapshot, mergedHistogram } from '#loadtest/ledger/latency.ts'

/** One interval of a run: rates in messages a second, latencies in milliseconds. */
export interface TimelinePoint {
  /** End of the interval, since the first moment of sending. */
  readonly atS: number
  readonly offered: number
  readonly sent: number
  readonly acknowledged: number
  readonly open: number
  readonly inFlight: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

/** Points kept; a longer run has wider intervals. */
const pointsMax = 900

interface Slot {
  atMs: number
  offered: number
  sent: number
  acknowledged: number
  open: number
  inFlight: number
  readonly recent: LatencySnapshot[]
}

const noProgress = { atMs: 0, offered: 0, sent: 0, settled: 0 }

/**
 * The intervals of all generator processes as one series. The k-th reports of all processes make one point; each process's rate is
 * taken over its own interval, so a process that reports late shows no dent.
 */
export class Timeline {
  readonly #slots: Slot[] = []
  readonly #last = new Map<number, { readonly reports: number } & typeof noProgress>()
  readonly #points: TimelinePoint[] = []
  /** Slots closed so far, and points of them that wait to be joined to one of `#merged`. */
  #closed = 0
  #pending: TimelinePoint[] = []
  #merged = 1

  /** @param process which generator process reports */
  add(process: number, interval: GeneratorInterval): void {
    const before = this.#last.get(process) ?? { reports: 0, ...noProgress }
    const seconds = Math.max(0.001, (interval.atMs - before.atMs) / 1000)
    const slot = this.#slotAt(before.reports)
    slot.atMs = Math.max(slot.atMs, interval.atMs)
    slot.offered += (interval.offered - before.offered) / seconds
    slot.sent += (interval.sent - before.sent) / seconds
    slot.acknowledged += (interval.settled - before.settled) / seconds
    slot.open += interval.open
    slot.inFlight += interval.sent - interval.settled
    slot.recent.push(interval.acknowledgedRecent)
    const { atMs, offered, sent, settled } = interval
    this.#last.set(process, { reports: before.reports + 1, atMs, offered, sent, settled })
  }

  /** The points so far; the last may lack a process. */
  points(): TimelinePoint[] {
    const open = this.#slots.filter(({ recent }) => recent.length > 0).map(pointOf)
    return [...this.#points, ...open]
  }

  /** A slot is closed once the next but one begins: by then every process that lives has reported. */
  #slotAt(report: number): Slot {
    const index = report - this.#closed
    while (this.#slots.length <= Math.max(0, index))
      this.#slots.push({ atMs: 0, offered: 0, sent: 0, acknowledged: 0, open: 0, inFlight: 0, recent: [] })
    const slot = this.#slots[Math.max(0, index)] as Slot
    while (this.#slots.length > 4) this.#close()
    return slot
  }

  #close(): void {
    const slot = this.#slots.shift()
    this.#closed++
    if (!slot || slot.recent.length === 0) return
    this.#pending.push(pointOf(slot))
    if (this.#pending.length < this.#merged) return
    this.#points.push(joined(this.#pending.splice(0)))
    if (this.#points.length < pointsMax) return
    const pairs = this.#points.splice(0)
    for (let index = 0; index < pairs.length; index += 2) this.#points.push(joined(pairs.slice(index, index + 2)))
    this.#merged *= 2
  }
}

function pointOf(slot: Slot): TimelinePoint {
  const latency: LatencyHistogram = mergedHistogram(slot.recent)
  const { p50Ms, p99Ms, p999Ms, maxMs } = latency.summary()
  return {
    atS: rounded(slot.atMs / 1000, 3),
    offered: rounded(slot.offered, 1),
    sent: rounded(slot.sent, 1),
    acknowledged: rounded(slot.acknowledged, 1),
    open: slot.open,
    inFlight: slot.inFlight,
    p50Ms,
    p99Ms,
    p999Ms,
    maxMs,
  }
}

/** Means of rates, the worst of percentiles: a peak stays visible however long the run. */
export function joined(points: readonly TimelinePoint[]): TimelinePoint {
  const mean = (value: (point: TimelinePoint) => number) =>
    rounded(points.reduce((sum, point) => sum + value(point), 0) / points.length, 1)
  const worst = (value: (point: TimelinePoint) => number) => Math.max(...points.map(value))
  return {
    atS: points.at(-1)?.atS ?? 0,
    offered: mean(({ offered }) => offered),
    sent: mean(({ sent }) => sent),
    acknowledged: mean(({ acknowledged }) => acknowledged),
    open: points.at(-1)?.open ?? 0,
    inFlight: worst(({ inFlight }) => inFlight),
    p50Ms: worst(({ p50Ms }) => p50Ms),
    p99Ms: worst(({ p99Ms }) => p99Ms),
    p999Ms: worst(({ p999Ms }) => p999Ms),
    maxMs: worst(({ maxMs }) => maxMs),
  }
}

function rounded(value: number, digits: number): number {
  const factor = 10 ** digits
  return Math.round(value * factor) / factor
}
