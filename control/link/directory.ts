import type { CommandQueues } from '#control/commands/commands.ts'
import type { CredentialSource } from '#control/identities/identities.ts'
import type { EdgePresence } from '#control/presence/presence.ts'
import type { Registrar } from '#control/provisioning/provisioning.ts'
import type { QuotaSource } from '#control/quotas/quotas.ts'
import type { KeptSessions } from '#control/sessions/sessions.ts'
import type { Invalidations } from '#control/store/changes.ts'
import type { StoreCopy } from '#control/store/copy-store.ts'
import type { TrustSource } from '#control/trust/trust.ts'
import type { DeviceTwins, WholeTwins } from '#control/twins/twins.ts'
import type { DeviceUploads } from '#control/uploads/uploads.ts'

/**
 * All that an edge process asks of control, and is told: the ports of the capabilities together. Two adapters: `registry-directory.ts`
 * in the process that owns the registry (or has PostgreSQL at hand), `remote-directory.ts` over a local socket to that process.
 */
export interface Directory
  extends CredentialSource,
    TrustSource,
    QuotaSource,
    EdgePresence,
    CommandQueues,
    KeptSessions,
    Registrar,
    Invalidations {
  readonly twins: DeviceTwins & WholeTwins
  readonly uploads: DeviceUploads
  close(): Promise<void>
}

/** What the process that owns the store serves besides, to tools of its own user. */
export interface ServedDirectory extends Directory {
  /** As `Registry.copyTo`. @param folder absolute, of this machine */
  copyTo(folder: string): Promise<StoreCopy | undefined>
}
