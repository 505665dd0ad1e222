import type { AuditEntry, AuditSink } from '#control/rest/audited.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { AuditTrail } from './audit.ts'

export interface AuditRecorderOptions {
  readonly trail: Pick<AuditTrail, 'write' | 'forget'>
  /** Rows are kept for so long. */
  readonly days: number
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  readonly clock: Clock
}

/**
 * Writes the audit down, a moment after the answer has left: no request waits for it. What is lost by that, with a process that is killed or
 * a store that is away for too long, is still a line of the log.
 *
 *   add ─▶ waits, refusals alike as one ─▶ every `auditDelayMs` one statement ─▶ rows
 */
export class AuditRecorder implements AuditSink {
  readonly #options: AuditRecorderOptions
  readonly #dropped: { add(amount: number): void }
  readonly #closed = new AbortController()
  readonly #running: Promise<void>
  #waiting: AuditEntry[] = []
  /** Where refusals are among those that wait. */
  readonly #refusals = new Map<string, number>()
  #forgottenMonotonicMs = Number.NEGATIVE_INFINITY

  constructor(options: AuditRecorderOptions) {
    this.#options = options
    this.#dropped = options.metrics.series('penstock_registry_audit_dropped_total')
    this.#running = this.#run()
  }

  add(entry: AuditEntry): void {
    const likeness = entry.kind === 'refused' ? likenessOf(entry) : undefined
    if (likeness !== undefined && this.#joined(likeness)) return
    // Whoever guesses keys must not push out what others changed.
    const room = likeness === undefined ? limits.auditWaitingMax : limits.auditWaitingMax / 2
    if (this.#waiting.length >= room) {
      this.#dropped.add(1)
      return
    }
    if (likeness !== undefined) this.#refusals.set(likeness, this.#waiting.length)
    this.#waiting.push(entry)
  }

  /** Writes down what waits, if the store takes it at once. */
  async close(): Promise<void> {
    this.#closed.abort()
    await this.#running
    await this.#write()
  }

  /** True if it was counted with one that waits. */
  #joined(likeness: string): boolean {
    const at = this.#refusals.get(likeness)
    const before = at === undefined ? undefined : this.#waiting[at]
    if (at === undefined || before === undefined) return false
    this.#waiting[at] = { ...before, count: before.count + 1 }
    return true
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    while (!this.#closed.signal.aborted) {
      await this.#write()
      await this.#forget()
      await sleep(clock, limits.auditDelayMs, this.#closed.signal)
    }
  }

  async #write(): Promise<void> {
    const entries = this.#waiting
    if (entries.length === 0) return
    this.#waiting = []
    this.#refusals.clear()
    try {
      await this.#options.trail.write(entries)
    } catch (error) {
      this.#options.logger.warn('the audit could not be written down; trying again', { entries: entries.length, error })
      this.#refusals.clear()
      const kept = [...entries, ...this.#waiting].slice(0, limits.auditWaitingMax)
      this.#dropped.add(entries.length + this.#waiting.length - kept.length)
      this.#waiting = kept
    }
  }

  async #forget(): Promise<void> {
    const { trail, days, clock, logger } = this.#options
    if (clock.monotonicMs() - this.#forgottenMonotonicMs < limits.auditForgottenMs) return
    try {
      await trail.forget(clock.nowMs() - days * 86_400_000)
      this.#forgottenMonotonicMs = clock.monotonicMs()
    } catch (error) {
      logger.debug('the audit was not shortened; trying again', { error })
    }
  }
}

/** The same of refusals that are counted as one. */
function likenessOf({ from, fault, policy, method }: AuditEntry): string {
  return JSON.stringify([from, fault, policy, method])
}
