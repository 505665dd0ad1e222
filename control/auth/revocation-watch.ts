import type { Invalidation, Invalidations } from '#control/store/changes.ts'
import type { Clock } from '#runtime/clock.ts'
import { sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Counter } from '#runtime/metrics.ts'
import { type BackOff, Pauses } from '#runtime/retry.ts'
import { revocation } from './admission.ts'
import type { Admitted, Refused } from './auth.ts'
import type { CredentialCache } from './credential-cache.ts'

/** Devices checked side by side; each batch is one statement at the registry. */
const recheckBatchMax = 1_000
const recheckBackOff: BackOff = { firstMs: 500, factor: 1, maxMs: 500, jitter: 0 }

interface Watcher {
  readonly admitted: Admitted
  readonly onRevoked: (refused: Refused) => void
}

/** The connections of one process that end when their identity is revoked. Memory: about 300 bytes each. */
export class RevocationWatch {
  readonly #cache: CredentialCache
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #revocations: Counter
  readonly #watchers = new Map<string, Set<Watcher>>()
  readonly #toCheck = new Set<string>()
  readonly #closed = new AbortController()
  readonly #unwatch: () => void
  #running = false

  /** `cache` must have been made before, so that it hears of notices first. */
  constructor(notices: Invalidations, cache: CredentialCache, clock: Clock, logger: Logger, revocations: Counter) {
    this.#cache = cache
    this.#clock = clock
    this.#logger = logger
    this.#revocations = revocations
    this.#unwatch = notices.onInvalidate((invalidation) => this.#invalidate(invalidation))
  }

  add(admitted: Admitted, onRevoked: (refused: Refused) => void): () => void {
    const watcher: Watcher = { admitted, onRevoked }
    const { deviceId } = admitted
    const watchers = this.#watchers.get(deviceId) ?? new Set<Watcher>()
    watchers.add(watcher)
    this.#watchers.set(deviceId, watchers)
    // A notice may have come between the decision and this call: what is cached decides again, without a look-up.
    this.#checkCached(watcher)
    return () => this.#remove(watcher)
  }

  close(): void {
    this.#closed.abort()
    this.#unwatch()
    this.#watchers.clear()
    this.#toCheck.clear()
  }

  #remove(watcher: Watcher): void {
    const { deviceId } = watcher.admitted
    const watchers = this.#watchers.get(deviceId)
    watchers?.delete(watcher)
    if (watchers?.size === 0) this.#watchers.delete(deviceId)
  }

  #checkCached(watcher: Watcher): void {
    const { deviceId } = watcher.admitted
    const entry = this.#cache.device(deviceId)
    const trust = this.#cache.trust()
    const isCached = !(entry instanceof Promise) && !(trust instanceof Promise)
    if (isCached && revocation(watcher.admitted, entry.device, trust) === undefined) return
    if (entry instanceof Promise) entry.catch(() => {})
    if (trust instanceof Promise) trust.catch(() => {})
    this.#check([deviceId])
  }

  #invalidate(invalidation: Invalidation): void {
    if (invalidation.kind === 'quotas') return
    this.#check(invalidation.kind === 'devices' ? invalidation.deviceIds : this.#watchers.keys())
  }

  #check(deviceIds: Iterable<string>): void {
    for (const deviceId of deviceIds) if (this.#watchers.has(deviceId)) this.#toCheck.add(deviceId)
    if (this.#toCheck.size === 0 || this.#running) return
    this.#running = true
    void this.#run()
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    // What fails goes back among what else is to be checked, so it is no attempt that is repeated as it was.
    const pauses = new Pauses(recheckBackOff)
    while (this.#toCheck.size > 0 && !signal.aborted) {
      const batch = this.#take()
      const outcomes = await Promise.allSettled(batch.map((deviceId) => this.#checkDevice(deviceId)))
      let failures = 0
      for (const [index, outcome] of outcomes.entries()) {
        const deviceId = batch[index]
        if (outcome.status === 'fulfilled' || deviceId === undefined) continue
        // Nobody is cut off because the registry is silent; it is asked until it speaks.
        failures++
        this.#toCheck.add(deviceId)
      }
      if (failures === 0) continue
      this.#logger.warn('open connections could not be checked against the registry; trying again', { failures })
      await sleep(this.#clock, pauses.nextMs(), signal)
    }
    // In the tick of the last look at the set, so that what is added after it starts a run of its own.
    this.#running = false
  }

  async #checkDevice(deviceId: string): Promise<void> {
    const [{ device }, trust] = await Promise.all([this.#cache.device(deviceId), this.#cache.trust()])
    for (const watcher of this.#watchers.get(deviceId) ?? []) {
      const refused = revocation(watcher.admitted, device, trust)
      if (!refused) continue
      this.#remove(watcher)
      this.#revocations.add(1)
      try {
        watcher.onRevoked(refused)
      } catch (error) {
        this.#logger.error('a connection could not be ended', { error })
      }
    }
  }

  #take(): string[] {
    const batch: string[] = []
    for (const deviceId of this.#toCheck) {
      if (batch.length === recheckBatchMax) break
      this.#toCheck.delete(deviceId)
      batch.push(deviceId)
    }
    return batch
  }
}
