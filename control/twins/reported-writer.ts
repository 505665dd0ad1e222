/**
 * Patches of reported properties, committed in groups by the process that holds the connections of their devices.
 *
 *   report ─▶ queue ─▶ group: ≤ 500 twins, 1 MiB ─▶ merged in memory ─▶ one statement ─▶ committed: each with its own version
 *                ▲                                                        ├▶ changed by another process: read and merged again, once
 *                └──────────────── the store is away ─────────────────────┘
 *
 * One group is under way, and the next gathers meanwhile. Patches of one twin keep their order. While the store is away they wait, at most
 * `twinQueueBytesMax` and `twinWaitMsMax`; then they are refused, and may have been committed or not. A patch that was refused may thus
 * be in force, and one that was retried within may have counted twice: merging it again changes nothing.
 */
import { unknownFault } from '#control/identities/identity.ts'
import type { Queries } from '#control/store/database.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { compareIds, type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { checkSize } from './patch-json.ts'
import { type ReportedWrite, reportedTwins, writeReported } from './reported-rows.ts'
import { patched, type Section } from './section.ts'
import { type KeptTwin, TwinCache } from './twin-cache.ts'
import type { Report } from './twins.ts'

const retryMs = 200
/** Of a twin that is not kept, when a group is measured. */
const twinBytesGuess = 1024

/** A patch without an answer. */
class Waiting {
  readonly report: Report
  readonly key: string
  readonly deadlineMs: number
  readonly #resolve: (version: number) => void
  readonly #reject: (error: unknown) => void
  isSettled = false

  constructor(report: Report, nowMs: number, resolve: (version: number) => void, reject: (error: unknown) => void) {
    this.report = report
    this.key = identityText(report.id)
    this.deadlineMs = nowMs + limits.twinWaitMsMax
    this.#resolve = resolve
    this.#reject = reject
  }

  committed(version: number): void {
    if (!this.isSettled) this.#resolve(version)
    this.isSettled = true
  }

  refuse(error: unknown): void {
    if (!this.isSettled) this.#reject(error)
    this.isSettled = true
  }
}

/** The patches of one twin in a group, in their order. */
interface TwinPatches {
  readonly id: IdentityId
  readonly key: string
  readonly waiting: Waiting[]
}

/** What became of them in memory. */
interface Merge extends TwinPatches {
  readonly write: ReportedWrite
  readonly after: KeptTwin
  /** Version of each patch. */
  readonly versions: readonly (readonly [Waiting, number])[]
}

export interface ReportedWriterOptions {
  /** Each patch that is committed becomes an event of the outbox, in the same statement. */
  readonly tellsChanges?: boolean
  readonly cacheBytesMax?: number
}

export class ReportedWriter {
  readonly #queries: Queries
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #tellsChanges: boolean
  readonly #cache: TwinCache
  readonly #closed = new AbortController()
  #queue: Waiting[] = []
  #underWay: readonly Waiting[] = []
  #bytes = 0
  #running: Promise<void> | undefined
  #beganAtMs = Number.NEGATIVE_INFINITY
  #endGathering = (): void => {}
  #isAway = false

  constructor(
    queries: Queries,
    clock: Clock,
    logger: Logger,
    { tellsChanges = false, cacheBytesMax = limits.twinCacheBytesMax }: ReportedWriterOptions = {},
  ) {
    this.#queries = queries
    this.#clock = clock
    this.#logger = logger
    this.#tellsChanges = tellsChanges
    this.#cache = new TwinCache(cacheBytesMax)
  }

  /** As `DeviceTwins.report`. */
  report(report: Report): Promise<number> {
    if (this.#closed.signal.aborted) return Promise.reject(away('this process is shutting down'))
    if (this.#bytes + report.bytes > limits.twinQueueBytesMax)
      return Promise.reject(away('too many reported properties wait for the store'))
    return new Promise((resolve, reject) => {
      this.#queue.push(new Waiting(report, this.#clock.monotonicMs(), resolve, reject))
      this.#bytes += report.bytes
      if (this.#queue.length >= limits.twinGroupMax) this.#endGathering()
      this.#running ??= this.#run()
    })
  }

  /** Refuses what waits; resolves once nothing is under way. */
  async close(): Promise<void> {
    this.#closed.abort()
    for (const waiting of this.#queue) waiting.refuse(away('this process is shutting down'))
    await this.#running
  }

  async #run(): Promise<void> {
    const stopExpiry = this.#expireEverySecond()
    while (this.#queue.length > 0) {
      await this.#gather()
      this.#beganAtMs = this.#clock.monotonicMs()
      const group = this.#take()
      this.#underWay = group
      await this.#commit(group)
      this.#underWay = []
      for (const { report } of group) this.#bytes -= report.bytes
    }
    stopExpiry()
    this.#running = undefined
  }

  /** Waits where groups would begin too close to one another, unless the next is full. */
  async #gather(): Promise<void> {
    // All that is reported in this turn of the event loop belongs together.
    await null
    const waitMs = this.#beganAtMs + limits.twinGroupMs - this.#clock.monotonicMs()
    if (waitMs <= 0 || this.#queue.length >= limits.twinGroupMax) return
    const full = new AbortController()
    this.#endGathering = () => full.abort()
    await sleep(this.#clock, waitMs, AbortSignal.any([full.signal, this.#closed.signal]))
    this.#endGathering = () => {}
  }

  #take(): Waiting[] {
    const keys = new Set<string>()
    let bytes = 0
    let count = 0
    for (const { key, report } of this.#queue) {
      if (!keys.has(key)) {
        const twinBytes = this.#cache.get(key)?.bytes ?? twinBytesGuess
        if (keys.size === limits.twinGroupMax) break
        if (count > 0 && bytes + twinBytes + report.bytes > limits.twinGroupBytesMax) break
        keys.add(key)
        bytes += twinBytes
      }
      bytes += report.bytes
      count++
    }
    return this.#queue.splice(0, count)
  }

  /** Resolves once all of them are settled. Never rejects. */
  async #commit(group: readonly Waiting[]): Promise<void> {
    while (true) {
      const open = group.filter(({ isSettled }) => !isSettled)
      if (open.length === 0) return
      try {
        await this.#commitOnce(byTwin(open))
        this.#isAway = false
        return
      } catch (error) {
        // Whether the statement was carried out is not known.
        for (const { key } of open) this.#cache.delete(key)
        if (!isPenstockError(error, 'STORE_UNAVAILABLE')) return this.#commitAlone(byTwin(open), error)
        if (!this.#isAway) this.#logger.warn('reported properties wait for the control store', { error })
        this.#isAway = true
        await sleep(this.#clock, retryMs, this.#closed.signal)
        if (this.#closed.signal.aborted) for (const waiting of open) waiting.refuse(error)
      }
    }
  }

  /** One of them was refused by the store, which should take them all: the others are not refused with it. */
  async #commitAlone(twins: readonly TwinPatches[], error: unknown): Promise<void> {
    this.#logger.error('the control store refused reported properties', { twins: twins.length, error })
    for (const twin of twins) {
      if (twins.length === 1) for (const waiting of twin.waiting) waiting.refuse(error)
      else await this.#commit(twin.waiting)
    }
  }

  async #commitOnce(twins: readonly TwinPatches[]): Promise<void> {
    const changedElsewhere = await this.#mergeAndWrite(twins)
    if (changedElsewhere.length === 0) return
    for (const { waiting } of await this.#mergeAndWrite(changedElsewhere))
      for (const one of waiting)
        one.refuse(new PenstockError('TWIN_CONFLICT', 'the twin was changed by others meanwhile: send it again'))
  }

  /** @returns those that another process changed since they were read */
  async #mergeAndWrite(twins: readonly TwinPatches[]): Promise<readonly TwinPatches[]> {
    const kept = await this.#keptOf(twins)
    const nowMs = this.#clock.nowMs()
    const merges: Merge[] = []
    for (const twin of twins) {
      const before = kept.get(twin.key)
      if (before === undefined) for (const one of twin.waiting) one.refuse(unknownFault(twin.id))
      else {
        const merge = mergeOf(twin, before, nowMs, this.#tellsChanges)
        if (merge !== undefined) merges.push(merge)
      }
    }
    if (merges.length === 0) return []
    const written = await writeReported(
      this.#queries,
      merges.map(({ write }) => write),
      this.#tellsChanges ? nowMs : undefined,
    )
    return merges.filter(({ key, after, versions }) => {
      if (!written.has(key)) {
        this.#cache.delete(key)
        return true
      }
      this.#cache.set(key, after)
      for (const [waiting, version] of versions) waiting.committed(version)
      return false
    })
  }

  /** By key, from memory or else from the store in one statement. */
  async #keptOf(twins: readonly TwinPatches[]): Promise<Map<string, KeptTwin>> {
    const found = new Map<string, KeptTwin>()
    const missing: IdentityId[] = []
    for (const { id, key } of twins) {
      const kept = this.#cache.get(key)
      if (kept === undefined) missing.push(id)
      else found.set(key, kept)
    }
    if (missing.length > 0) for (const [key, kept] of await reportedTwins(this.#queries, missing)) found.set(key, kept)
    return found
  }

  #expireEverySecond(): () => void {
    const expire = (): void => {
      const nowMs = this.#clock.monotonicMs()
      for (const waiting of [...this.#underWay, ...this.#queue])
        if (waiting.deadlineMs <= nowMs) waiting.refuse(away('the control store did not answer in time'))
      cancel = this.#clock.after(1000, expire)
    }
    let cancel = this.#clock.after(1000, expire)
    return () => cancel()
  }
}

/** In the order of the store, in which all who write twins lock them. */
function byTwin(group: readonly Waiting[]): TwinPatches[] {
  const twins = new Map<string, TwinPatches>()
  for (const waiting of group) {
    const { key } = waiting
    const twin = twins.get(key)
    if (twin === undefined) twins.set(key, { id: waiting.report.id, key, waiting: [waiting] })
    else twin.waiting.push(waiting)
  }
  return [...twins.values()].sort((one, other) => compareIds(one.id, other.id))
}

/** Refuses patches that cannot be merged. @returns `undefined`: none was left */
function mergeOf(twin: TwinPatches, before: KeptTwin, nowMs: number, tellsChanges: boolean): Merge | undefined {
  let { section } = before
  let text = ''
  const patches: string[] = []
  const versions: (readonly [Waiting, number])[] = []
  for (const waiting of twin.waiting) {
    if (waiting.isSettled) continue
    try {
      const after = afterReport(section, waiting.report, nowMs)
      text = JSON.stringify(after.value)
      checkSize(text, limits.twinPropertiesBytesMax, 'properties.reported')
      section = after
      versions.push([waiting, section.version])
      if (tellsChanges) patches.push(JSON.stringify(waiting.report.patch))
    } catch (error) {
      waiting.refuse(error)
      text = JSON.stringify(section.value)
    }
  }
  if (versions.length === 0) return undefined
  const marks = JSON.stringify(section.marks)
  const { version } = section
  const { birth } = before
  return {
    ...twin,
    write: { id: twin.id, birth, was: before.section.version, version, text, marks, patches: patches.join('\n') },
    after: { birth, section, bytes: text.length + marks.length },
    versions,
  }
}

function afterReport(section: Section, { patch, ifVersion }: Report, nowMs: number): Section {
  if (ifVersion !== undefined && ifVersion !== section.version)
    throw new PenstockError('REGISTRY_ETAG_STALE', `the reported properties have version ${section.version} by now`)
  return patched(section, patch, nowMs)
}

function away(message: string): PenstockError {
  return new PenstockError('STORE_UNAVAILABLE', message)
}
