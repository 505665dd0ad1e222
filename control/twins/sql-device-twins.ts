import { unknownFault } from '#control/identities/identity.ts'
import { type OwnChannel, tellAll } from '#control/store/change-feed.ts'
import type { Database } from '#control/store/database.ts'
import { LookupBatch } from '#control/store/lookup-batch.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type IdentityId, identityFromText, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import {
  type FoundTwin,
  readDesiredSince,
  readDeviceTwins,
  readSeen,
  readWholeTwins,
  recordSeen,
} from './device-twin-rows.ts'
import { ReportedWriter } from './reported-writer.ts'
import { noticeFromPayload, twinChannel } from './twin-notices.ts'
import type {
  DesiredChange,
  DesiredSeen,
  DeviceTwin,
  DeviceTwins,
  Report,
  TwinNotice,
  WholeTwin,
  WholeTwins,
} from './twins.ts'

/** Over the control store, which belongs to the caller. */
export class SqlDeviceTwins implements DeviceTwins, WholeTwins {
  /** To be listened to together with the change feed. */
  readonly channel: OwnChannel
  readonly #database: Database
  readonly #logger: Logger
  readonly #reads: LookupBatch<FoundTwin>
  readonly #reported: ReportedWriter
  readonly #listeners = new Set<(notice: TwinNotice) => void>()
  /** What devices were told, by `identityText`; the latest of each. */
  #seen = new Map<string, DesiredSeen>()
  #recording: Promise<void> | undefined

  /** @param tellsChanges each change becomes an event of the outbox */
  constructor(database: Database, clock: Clock, logger: Logger, tellsChanges: boolean) {
    this.#database = database
    this.#logger = logger
    this.#reported = new ReportedWriter(database, clock, logger, { tellsChanges })
    this.#reads = new LookupBatch(
      (keys) => readDeviceTwins(database, keys.map(identityFromText)),
      identityText,
      limits.twinGroupMax,
    )
    this.channel = { name: twinChannel, onPayload: (payload) => this.#tell(noticeFromPayload(payload)) }
  }

  async read(id: IdentityId): Promise<DeviceTwin> {
    const found = await this.#reads.lookup(identityText(id))
    if (found === undefined) throw unknownFault(id)
    return found
  }

  whole(ids: readonly IdentityId[]): Promise<readonly WholeTwin[]> {
    return readWholeTwins(this.#database, ids)
  }

  report(report: Report): Promise<number> {
    return this.#reported.report(report)
  }

  desiredSince(seen: readonly DesiredSeen[]): Promise<readonly DesiredChange[]> {
    return readDesiredSince(this.#database, seen)
  }

  seen(ids: readonly IdentityId[]): Promise<readonly DesiredSeen[]> {
    return readSeen(this.#database, ids)
  }

  saw(seen: readonly DesiredSeen[]): void {
    for (const one of seen) this.#seen.set(identityText(one), one)
    if (seen.length > 0) this.#recording ??= this.#record()
  }

  onDesired(listener: (notice: TwinNotice) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Notices may have been missed. */
  missed(): void {
    this.#tell(undefined)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#reported.close()
    await this.#recording
  }

  async #record(): Promise<void> {
    while (this.#seen.size > 0) {
      const all = [...this.#seen.values()]
      const some = all.splice(0, limits.beatRecordsMax)
      this.#seen = new Map(all.map((one) => [identityText(one), one]))
      try {
        await recordSeen(this.#database, some)
      } catch (error) {
        this.#logger.warn('what devices know of their desired properties was not recorded; they are told again', {
          count: some.length,
          error,
        })
      }
    }
    this.#recording = undefined
  }

  #tell(notice: TwinNotice): void {
    tellAll(this.#listeners, notice, this.#logger)
  }
}
