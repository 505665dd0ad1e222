/**
 * Sends metrics, and spans that were recorded meanwhile, to an OTLP receiver, time after time.
 *
 *   processes ── every interval ──▶ their samples ──┐
 *   record ──▶ queue, bounded ─────────────────────▶ one request at a time ── taken, or tried again, or dropped and counted
 *
 * A receiver that is away costs what is dropped: the queue is bounded, attempts are few, and nobody waits for this but itself. What counters
 * counted is in the next request again; a span that is dropped is gone.
 */
import { type Clock, sleep } from '../clock.ts'
import type { Logger } from '../logger.ts'
import type { MetricDefinition } from '../metrics.ts'
import { repeating } from '../repeating.ts'
import { type BackOff, isTransient, retry } from '../retry.ts'
import type { OtlpClient } from './otlp-client.ts'
import { type MeasuredProcess, metricsRequest } from './otlp-metrics.ts'
import { type RecordedSpans, type Span, tracesRequest } from './otlp-spans.ts'
import type { OtlpAttributes } from './otlp-value.ts'

export type OtlpSignal = 'metrics' | 'traces'

/** `queue`: spans came faster than they go; `away`, `refused`, `rejected`: by the receiver, the last one of a request that it took. */
export type DropReason = 'queue' | 'away' | 'refused' | 'rejected'

export interface OtlpExporterOptions {
  readonly client: Pick<OtlpClient, 'post' | 'close'>
  readonly table: Readonly<Record<string, MetricDefinition>>
  /** As they are now. */
  readonly processes: () => readonly MeasuredProcess[]
  readonly intervalMs: number
  readonly clock: Clock
  readonly logger: Logger
  /** A request was taken. */
  readonly onSent: (signal: OtlpSignal) => void
  /** So many requests of metrics, or spans, were given up. */
  readonly onDropped: (signal: OtlpSignal, reason: DropReason, count: number) => void
}

export const spansQueuedMax = 4_096
/** Some 400 bytes each. */
const spansPerRequestMax = 1_024
const attemptsMax = 4
const pauses: BackOff = { firstMs: 500, factor: 3, maxMs: 5_000, jitter: 0.5 }
/** So long the end of a process waits for the last request. */
const lastMsMax = 2_000

export class OtlpExporter {
  readonly #options: OtlpExporterOptions
  readonly #stop: () => Promise<void>
  #queue: { readonly resource: OtlpAttributes; readonly span: Span }[] = []
  #isAway = false

  constructor(options: OtlpExporterOptions) {
    this.#options = options
    // The first look comes after an interval: a process that has just begun has counted nothing.
    let hasBegun = false
    this.#stop = repeating(options.clock, async (stop) => {
      if (hasBegun) await this.#export(stop)
      hasBegun = true
      return options.intervalMs
    })
  }

  /** Takes spans of a process for the next request. */
  record({ resource, spans }: RecordedSpans): void {
    const room = Math.max(0, spansQueuedMax - this.#queue.length)
    for (const span of spans.slice(0, room)) this.#queue.push({ resource, span })
    if (spans.length > room) this.#options.onDropped('traces', 'queue', spans.length - room)
  }

  /** Sends once more what there is. With the request that is under way that has two seconds: its receiver may never answer. */
  async close(): Promise<void> {
    const { client, clock } = this.#options
    const ended = new AbortController()
    const last = this.#stop()
      .then(() => this.#export(AbortSignal.abort()))
      .finally(() => ended.abort())
    await sleep(clock, lastMsMax, ended.signal)
    client.close()
    await last
  }

  async #export(stop: AbortSignal): Promise<void> {
    const { table, processes, clock } = this.#options
    const measured = processes()
    await this.#deliver('metrics', metricsRequest(table, measured, clock.nowMs()), 1, stop)
    while (this.#queue.length > 0) {
      const next = this.#queue.splice(0, spansPerRequestMax)
      const isTaken = await this.#deliver('traces', tracesRequest(byResource(next)), next.length, stop)
      // The rest waits for the next time, or for its place to be taken.
      if (!isTaken) break
    }
  }

  /** @param stop once it has aborted nothing is tried again @returns whether it was taken */
  async #deliver(signal: OtlpSignal, body: object, count: number, stop: AbortSignal): Promise<boolean> {
    const { client, clock, logger, onSent, onDropped } = this.#options
    try {
      const rejected = await retry(() => client.post(`/v1/${signal}`, body, stop), {
        backOff: pauses,
        clock,
        until: stop,
        isRetryable: (error, failures) => isTransient(error) && failures < attemptsMax,
      })
      onSent(signal)
      if (rejected > 0) onDropped(signal, 'rejected', signal === 'metrics' ? 1 : rejected)
      if (this.#isAway) logger.info('the OTLP receiver takes metrics and spans again')
      this.#isAway = false
      return true
    } catch (error) {
      onDropped(signal, isTransient(error) ? 'away' : 'refused', count)
      if (!this.#isAway)
        logger.warn('the OTLP receiver takes nothing; what it does not take is dropped', { signal, error })
      this.#isAway = true
      return false
    }
  }
}

function byResource(queued: readonly { readonly resource: OtlpAttributes; readonly span: Span }[]): RecordedSpans[] {
  const spans = new Map<OtlpAttributes, Span[]>()
  for (const { resource, span } of queued) {
    const ofIt = spans.get(resource) ?? []
    spans.set(resource, ofIt)
    ofIt.push(span)
  }
  return [...spans].map(([resource, ofIt]) => ({ resource, spans: ofIt }))
}
