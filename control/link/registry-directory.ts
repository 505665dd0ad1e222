import type { CommandQueues, CommandsTaken, CommandsWanted, Settlement } from '#control/commands/commands.ts'
import type { DeviceCredentials, Identities } from '#control/identities/identities.ts'
import type { ActivityRecord, Announcement, PresenceRecord, PresenceStore } from '#control/presence/presence.ts'
import type { ProvisioningAnswer, ProvisioningRequest, Registrar } from '#control/provisioning/provisioning.ts'
import type { QuotaOverride, QuotaSource } from '#control/quotas/quotas.ts'
import type { KeptSession, KeptSessions } from '#control/sessions/sessions.ts'
import { type Changes, type Invalidation, invalidationOf } from '#control/store/changes.ts'
import type { StoreCopy } from '#control/store/copy-store.ts'
import { LookupBatch } from '#control/store/lookup-batch.ts'
import type { Trust, TrustSource } from '#control/trust/trust.ts'
import type { DeviceTwins, WholeTwins } from '#control/twins/twins.ts'
import type { DeviceUploads, Uploads } from '#control/uploads/uploads.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { ServedDirectory } from './directory.ts'
import { RegistryUploads } from './registry-uploads.ts'

/** Presence records that wait while a write is under way; more are dropped, oldest first: the next connection tells again. */
const presenceWaitingMax = 10_000
const presenceWriteMax = 1_000

/** What the directory asks, by capability. */
export interface DirectorySources {
  readonly identities: Pick<Identities, 'credentials'>
  readonly trust: TrustSource
  readonly quotas: QuotaSource
  readonly presence: PresenceStore
  readonly deviceTwins: DeviceTwins & WholeTwins
  readonly commands: CommandQueues
  readonly sessions: KeptSessions
  readonly uploads: Uploads
  /** What all processes of this installation share. */
  readonly edgeAddresses: { secret(): Promise<Buffer> }
  readonly registrar: Registrar
  readonly changes: Changes
  copyTo(folder: string): Promise<StoreCopy | undefined>
  close(): Promise<void>
}

/** The directory of a process that has the registry itself; `close` closes it too if owned. */
export class RegistryDirectory implements ServedDirectory {
  readonly twins: DeviceTwins & WholeTwins
  readonly uploads: DeviceUploads
  readonly #registry: DirectorySources
  readonly #logger: Logger
  readonly #ownsRegistry: boolean
  readonly #batch: LookupBatch<DeviceCredentials>
  readonly #listeners = new Set<(invalidation: Invalidation) => void>()
  readonly #unwatch: () => void
  #waiting: PresenceRecord[] = []
  #writing: Promise<void> | undefined

  constructor(registry: DirectorySources, logger: Logger, { ownsRegistry = false } = {}) {
    this.#ownsRegistry = ownsRegistry
    this.#registry = registry
    this.twins = registry.deviceTwins
    this.uploads = new RegistryUploads(registry.uploads, registry.edgeAddresses, unavailable)
    this.#logger = logger
    this.#batch = new LookupBatch(
      (deviceIds) => registry.identities.credentials(deviceIds).catch(unavailable),
      ({ deviceId }) => deviceId,
    )
    this.#unwatch = registry.changes.onChange((change) => {
      const invalidation = invalidationOf(change)
      for (const listener of this.#listeners) listener(invalidation)
    })
  }

  copyTo(folder: string): Promise<StoreCopy | undefined> {
    return this.#registry.copyTo(folder)
  }

  lookup(deviceId: string): Promise<DeviceCredentials | undefined> {
    return this.#batch.lookup(deviceId)
  }

  trust(): Promise<Trust> {
    return this.#registry.trust.trust().catch(unavailable)
  }

  quotas(): Promise<readonly QuotaOverride[]> {
    return this.#registry.quotas.quotas().catch(unavailable)
  }

  sessions(ids: readonly IdentityId[]): Promise<readonly KeptSession[]> {
    return this.#registry.sessions.sessions(ids).catch(unavailable)
  }

  keepSessions(sessions: readonly KeptSession[]): Promise<void> {
    return this.#registry.sessions.keepSessions(sessions).catch(unavailable)
  }

  provision(request: ProvisioningRequest): Promise<ProvisioningAnswer> {
    return this.#registry.registrar.provision(request).catch(unavailable)
  }

  onInvalidate(listener: (invalidation: Invalidation) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  report(records: readonly PresenceRecord[]): void {
    // `#write` must have something to wait for: it forgets its own promise when it is done.
    if (records.length === 0) return
    this.#waiting.push(...records)
    if (this.#waiting.length > presenceWaitingMax) this.#waiting = this.#waiting.slice(-presenceWaitingMax)
    this.#writing ??= this.#write()
  }

  async reset(edgeId: string, atMs: number): Promise<readonly IdentityId[]> {
    await this.#writing
    return this.#registry.presence.resetPresence(edgeId, atMs).catch(unavailable)
  }

  beat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void> {
    return this.#registry.presence.recordBeat(edgeId, heard).catch(unavailable)
  }

  announce(edge: string, opened: readonly ActivityRecord[]): Promise<number> {
    return this.#registry.presence.announce(edge, opened).catch(unavailable)
  }

  takeCommands(wanted: readonly CommandsWanted[]): Promise<readonly CommandsTaken[]> {
    return this.#registry.commands.takeCommands(wanted).catch(unavailable)
  }

  settleCommands(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    return this.#registry.commands.settleCommands(settlements).catch(unavailable)
  }

  onAnnounced(listener: (announcement: Announcement) => void): () => void {
    return this.#registry.presence.onAnnounced(listener)
  }

  async close(): Promise<void> {
    this.#unwatch()
    this.#listeners.clear()
    await this.#writing
    if (this.#ownsRegistry) await this.#registry.close()
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const records = this.#waiting.splice(0, presenceWriteMax)
      try {
        await this.#registry.presence.recordPresence(records)
      } catch (error) {
        this.#logger.warn('connection states were not recorded', { count: records.length, error })
      }
    }
    this.#writing = undefined
  }
}

function unavailable(cause: unknown): never {
  if (!isPenstockError(cause, 'STORE_UNAVAILABLE')) throw cause
  throw new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'the registry does not answer', { cause })
}
