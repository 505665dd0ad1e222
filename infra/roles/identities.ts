import { hostname } from 'node:os'
import { type Admission, publicReason } from '#control/auth/auth.ts'
import type { CommandQueues } from '#control/commands/commands.ts'
import { controlSettings } from '#control/control-settings.ts'
import type { EdgeDownlink } from '#control/downlink/downlink.ts'
import { type DownlinkAddress, openEdgeControl } from '#control/open-edge-control.ts'
import type { QuotaOverride } from '#control/quotas/quotas.ts'
import type { Edge } from '#ingest/edge.ts'
import type { AuthorizeRequest } from '#ingest/http/device-gate.ts'
import type { AuthorizeService } from '#ingest/http/noisiest-route.ts'
import type { Authenticate, Identity, IsKnown, KeptIdentity } from '#ingest/session/identity.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { StartingDownlink } from './edge-downlink.ts'
import { beginEdgeLife } from './edge-life.ts'
import { HeardDevices } from './heard-devices.ts'
import { keptIdentity } from './kept-identity.ts'

/** What an edge needs to let in only devices that prove who they are [G-6]. */
export interface Identities {
  readonly authenticate: Authenticate
  readonly isKnown: IsKnown
  readonly authorizeRequest: AuthorizeRequest
  readonly authorizeService: AuthorizeService
  readonly commandQueues: CommandQueues
  /** Tells the registry that this edge lives, and whom it heard of since the last time. Never rejects. */
  readonly beat: (edge: Pick<Edge, 'forEachHeard'>) => Promise<void>
  /** What edge processes of this data folder held that did not end in order. */
  readonly lost: readonly IdentityId[]
  readonly onPresence: (deviceId: string, moduleId: string | undefined, connected: boolean) => void
  /** Calls back with `device` or `device/module` of a connection that a newer one at another edge process ends. */
  readonly onTakenOver: (takeOver: (sessionId: string) => void) => void
  /** Calls back with all quotas of single devices, at once and whenever one changed. */
  readonly onQuotas: (override: (quotas: readonly QuotaOverride[]) => void) => void
  close(): Promise<void>
}

export async function openIdentities(
  settings: Settings,
  edgeId: string,
  metrics: Metrics<MetricName>,
  logger: Logger,
  downlink: EdgeDownlink = new StartingDownlink(),
  index = 0,
): Promise<Identities> {
  const { dataDir, postgresUrl, rules, devicesCachedMax, commandRules } = controlSettings(settings)
  const life = await beginEdgeLife(dataDir, edgeId)
  let endTakenOver = (_sessionId: string): void => {}
  const control = await openEdgeControl({
    dataDir,
    postgresUrl,
    rules,
    devicesCachedMax,
    commandRules,
    metrics,
    logger,
    onTakenOver: (sessionId) => endTakenOver(sessionId),
    downlink: { edgeId: life.id, edge: downlink },
    listensAt: downlinkAddress(settings, index),
  })
  const { authenticator, quotas, presence, sessions, takeOver, commands } = control
  const lost: IdentityId[] = []
  for (const id of [...life.departed, life.id]) lost.push(...(await presence.reset(id, Date.now())))
  const heard = new HeardDevices(limits.heardDevicesMax)
  const identityOf = (admission: Admission, resumes: boolean): Identity | Promise<Identity> => {
    if (!admission.admitted) throw refusalOf(admission.code)
    const { deviceId, moduleId, expiresAtMs } = admission
    const watch: Identity['watch'] = (onRevoked) =>
      authenticator.watch(admission, ({ code }) => onRevoked(refusalOf(code)))
    const identityWith = (kept: KeptIdentity): Identity => ({ deviceId, moduleId, expiresAtMs, kept, watch })
    const kept = keptIdentity(sessions, { deviceId, moduleId }, resumes)
    return kept instanceof Promise ? kept.then(identityWith) : identityWith(kept)
  }
  return {
    commandQueues: commands,
    authenticate: (credentials) => {
      const admission = authenticator.authenticate(credentials)
      const { resumes } = credentials
      return admission instanceof Promise
        ? admission.then((decided) => identityOf(decided, resumes))
        : identityOf(admission, resumes)
    },
    isKnown: (deviceId) => authenticator.knows(deviceId),
    authorizeRequest: async (deviceId, moduleId, authorization, confidential, sent) => {
      const id = { deviceId, moduleId }
      const attempt = { id, authorization, certificates: sent, confidential }
      const admission = authenticator.admittedBefore(attempt) ?? (await authenticator.authenticateRequest(attempt))
      if (admission.admitted) {
        heard.add(id, Date.now())
        return
      }
      throw toldToProven.has(admission.code)
        ? new PenstockError(admission.code, publicReason(admission))
        : refusalOf(admission.code)
    },
    authorizeService: async (authorization, confidential) => {
      if (!confidential) throw refusalOf('AUTH_TRANSPORT_INSECURE')
      const proof = await authenticator.authenticateService(authorization, 'ServiceConnect', ['api'], confidential)
      if (!('policy' in proof)) throw refusalOf(proof.code)
    },
    lost,
    beat: async (edge) => {
      edge.forEachHeard(limits.edgeBeatMs, (id, atMs) => heard.add(id, atMs))
      const records = heard.take()
      try {
        do await presence.beat(life.id, records.splice(0, limits.beatRecordsMax))
        while (records.length > 0)
      } catch (error) {
        logger.warn('the registry did not hear that this edge lives, and whom it heard of', { error })
      }
    },
    onPresence: (deviceId, moduleId, connected) => {
      presence.report([{ deviceId, moduleId, connected, edgeId: life.id, atMs: Date.now() }])
      if (connected) takeOver.opened({ deviceId, moduleId })
      else takeOver.ended({ deviceId, moduleId })
    },
    onTakenOver: (handler) => {
      endTakenOver = handler
    },
    onQuotas: (override) => quotas.listen(override),
    close: async () => {
      // Each end was told; what the registry could not take of so many at once must not count as lost at the next start.
      await presence.reset(life.id, Date.now()).catch(() => {})
      life.end()
      await control.close()
    },
  }
}

/** Edge processes of one machine listen on ports of their own, one behind the other. */
function downlinkAddress(settings: Settings, index: number): DownlinkAddress {
  const { bind } = settings
  const isAnywhere = bind === '0.0.0.0' || bind === '::'
  const host = settings.downlinkHost ?? (isAnywhere ? hostname() : bind)
  return { bind, port: settings.downlinkPort === 0 ? 0 : settings.downlinkPort + index, host }
}

/** Judged after the key, so that only who holds it is told. MQTT has one code for all of it. */
const toldToProven: ReadonlySet<ErrorCode> = new Set(['AUTH_TOKEN_EXPIRED', 'AUTH_IDENTITY_DISABLED'])

/** What a refused client is told: nothing that would tell an unknown device from a wrong key. */
function refusalOf(code: PenstockError['code']): PenstockError {
  if (code === 'AUTH_DIRECTORY_UNAVAILABLE')
    return new PenstockError(code, 'the registry does not answer; come back later')
  // Judged before any look-up, so it says nothing about devices, and whoever forgot TLS learns what to mend.
  if (code === 'AUTH_TRANSPORT_INSECURE') return new PenstockError('INGEST_NOT_AUTHORIZED', publicReason({ code }))
  return new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
}
