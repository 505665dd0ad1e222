import type { CommandsTaken, CommandsWanted, Settlement } from '#control/commands/commands.ts'
import { takenFromLine } from '#control/commands/commands-json.ts'
import type { EdgeDownlink } from '#control/downlink/downlink.ts'
import { downlinkHandlers, refuseDownlink } from '#control/downlink/downlink-contract.ts'
import type { DeviceCredentials } from '#control/identities/identities.ts'
import type { ActivityRecord, Announcement, PresenceRecord } from '#control/presence/presence.ts'
import type { ProvisioningAnswer, ProvisioningRequest } from '#control/provisioning/provisioning.ts'
import type { QuotaOverride } from '#control/quotas/quotas.ts'
import type { KeptSession } from '#control/sessions/sessions.ts'
import type { Invalidation } from '#control/store/changes.ts'
import { LookupBatch } from '#control/store/lookup-batch.ts'
import type { Trust } from '#control/trust/trust.ts'
import { CallBatches } from '#runtime/call-batches.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { LastingLink } from '#runtime/line-rpc/lasting-link.ts'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { Directory } from './directory.ts'
import { answerMsMax, controlContract, directoryLimits, directoryVersion, edgeContract } from './directory-contract.ts'
import { type DirectoryLink, RemoteTwins } from './remote-twins.ts'
import { RemoteUploads } from './remote-uploads.ts'

/** Presence records that wait for a connection; more are dropped, oldest first: the next connection of a device tells again. */
const presenceWaitingMax = 10_000

/** An edge process, and what it does for the downlink. */
export interface NamedEdge {
  /** As it announces its connections. */
  readonly edgeId: string
  readonly edge: EdgeDownlink
}

/**
 * The directory of an edge process, asked over the control role's socket. Connects when made and again whenever the connection is lost;
 * questions without an answer by then are asked again, for up to 5 s each. After each new connection all that was told is invalid.
 */
export class RemoteDirectory implements Directory {
  readonly twins: RemoteTwins
  readonly uploads: RemoteUploads
  readonly #link: DirectoryLink
  readonly #batch: LookupBatch<DeviceCredentials>
  readonly #provisioning: CallBatches<ProvisioningRequest, ProvisioningAnswer>
  readonly #listeners = new Set<(invalidation: Invalidation) => void>()
  readonly #announcedListeners = new Set<(announcement: Announcement) => void>()
  #presence: PresenceRecord[] = []

  /** @param downlink of an edge that takes part in it, with its name; left out: control does not learn of this process */
  constructor(path: string, logger: Logger, clock: Clock = systemClock, downlink?: NamedEdge) {
    this.#batch = new LookupBatch(
      (deviceIds) => this.#link.ask('lookup', deviceIds).catch(unavailable),
      ({ deviceId }) => deviceId,
    )
    this.#provisioning = new CallBatches({
      run: (requests) => this.#link.ask('provision', requests).catch(unavailable),
      countMax: limits.registrationsAtOnceMax,
    })
    this.#link = new LastingLink({
      path,
      limits: directoryLimits,
      own: edgeContract,
      handlers: {
        questions: (downlink ? downlinkHandlers(downlink.edgeId, downlink.edge) : refuseDownlink).questions,
        pushes: {
          invalid: (invalidation) => this.#emit(invalidation),
          announced: (announcement) => {
            for (const listener of this.#announcedListeners) listener(announcement)
          },
          desired: (notice) => this.twins.hear(notice),
        },
      },
      peer: controlContract,
      clock,
      version: directoryVersion,
      answerMsMax,
      onConnected: (again) => {
        if (again) this.#emit({ kind: 'everything' })
        this.report(this.#presence.splice(0))
        this.twins.connected(again)
      },
      onLost: (reason) => logger.warn('the connection to the control role was lost', { reason }),
      onPushFault: (push, reason) => {
        logger.warn('what the control role told cannot be read', { push, reason })
        // Something no longer holds, and what that is a newer version says in its own way.
        if (push === 'desired') this.twins.hear(undefined)
        if (push === 'invalid') this.#emit({ kind: 'everything' })
      },
    })
    this.twins = new RemoteTwins(this.#link)
    this.uploads = new RemoteUploads(this.#link, unavailable)
  }

  lookup(deviceId: string): Promise<DeviceCredentials | undefined> {
    return this.#batch.lookup(deviceId)
  }

  trust(): Promise<Trust> {
    return this.#link.ask('trust', undefined).catch(unavailable)
  }

  quotas(): Promise<readonly QuotaOverride[]> {
    return this.#link.ask('quotas', undefined).catch(unavailable)
  }

  reset(edgeId: string, atMs: number): Promise<readonly IdentityId[]> {
    return this.#link.ask('reset', { edgeId, atMs }).catch(unavailable)
  }

  beat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void> {
    return this.#link.ask('beat', { edgeId, heard }).catch(unavailable)
  }

  announce(edge: string, opened: readonly ActivityRecord[]): Promise<number> {
    return this.#link.ask('announce', { edge, opened }).catch(unavailable)
  }

  provision(request: ProvisioningRequest): Promise<ProvisioningAnswer> {
    return this.#provisioning.call(request)
  }

  async takeCommands(wanted: readonly CommandsWanted[]): Promise<readonly CommandsTaken[]> {
    return (await this.#link.ask('takeCommands', wanted).catch(unavailable)).map(takenFromLine)
  }

  settleCommands(settlements: readonly Settlement[]): Promise<readonly boolean[]> {
    return this.#link.ask('settleCommands', settlements).catch(unavailable)
  }

  sessions(ids: readonly IdentityId[]): Promise<readonly KeptSession[]> {
    return this.#link.ask('sessions', ids).catch(unavailable)
  }

  keepSessions(sessions: readonly KeptSession[]): Promise<void> {
    return this.#link.ask('keepSessions', sessions).catch(unavailable)
  }

  onAnnounced(listener: (announcement: Announcement) => void): () => void {
    this.#announcedListeners.add(listener)
    return () => this.#announcedListeners.delete(listener)
  }

  onInvalidate(listener: (invalidation: Invalidation) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  report(records: readonly PresenceRecord[]): void {
    if (records.length === 0 || this.#link.push('presence', records)) return
    this.#presence.push(...records)
    if (this.#presence.length > presenceWaitingMax) this.#presence = this.#presence.slice(-presenceWaitingMax)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    this.#announcedListeners.clear()
    await this.#link.close()
  }

  #emit(invalidation: Invalidation): void {
    for (const listener of this.#listeners) listener(invalidation)
  }
}

function unavailable(cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : String(cause)
  throw new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', `the control role gives no answer: ${reason}`, { cause })
}
