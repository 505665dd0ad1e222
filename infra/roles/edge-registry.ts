import { hostname } from 'node:os'
import type { CommandQueues } from '#control/commands/commands.ts'
import { controlSettings } from '#control/control-settings.ts'
import type { EdgeDownlink } from '#control/downlink/downlink.ts'
import { type DownlinkAddress, openEdgeControl } from '#control/open-edge-control.ts'
import type { EdgePresence } from '#control/presence/presence.ts'
import type { QuotaOverride } from '#control/quotas/quotas.ts'
import type { DeviceUploads } from '#control/uploads/uploads.ts'
import type { ProvisioningOptions } from '#ingest/device-api/provisioning.ts'
import type { TwinOptions } from '#ingest/device-api/twins.ts'
import type { Edge } from '#ingest/edge.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { type EdgeAuthentication, edgeAuthentication } from './edge-authentication.ts'
import { StartingDownlink } from './edge-downlink.ts'
import { beginEdgeLife, type EdgeLife } from './edge-life.ts'
import { HeardDevices } from './heard-devices.ts'

/** The registry of devices as an edge has it where identities are required: it asks who somebody is, and tells who is there. */
export interface EdgeRegistry extends EdgeAuthentication {
  readonly twins: TwinOptions
  readonly provisioning: ProvisioningOptions
  readonly commandQueues: CommandQueues
  readonly deviceUploads: DeviceUploads
  /** Tells that this edge lives, and whom it heard of since the last time. Never rejects. */
  readonly beat: (edge: Pick<Edge, 'forEachHeard'>) => Promise<void>
  /** What edge processes of this data folder held that did not end in order. */
  readonly lost: readonly IdentityId[]
  readonly onPresence: (
    deviceId: string,
    moduleId: string | undefined,
    connected: boolean,
    modelId?: string | undefined,
  ) => void
  /** Calls back with `device` or `device/module` of a connection that a newer one at another edge process ends. */
  readonly onTakenOver: (takeOver: (sessionId: string) => void) => void
  /** Calls back with all quotas of single devices, at once and whenever one changed. */
  readonly onQuotas: (override: (quotas: readonly QuotaOverride[]) => void) => void
  close(): Promise<void>
}

/** Rejects, with AUTH_DIRECTORY_UNAVAILABLE, where the registry does not answer. */
export async function openEdgeRegistry(
  settings: Settings,
  edgeId: string,
  metrics: Metrics<MetricName>,
  logger: Logger,
  downlink: EdgeDownlink = new StartingDownlink(),
  index = 0,
): Promise<EdgeRegistry> {
  const { dataDir, postgresUrl, rules, devicesCachedMax, ...options } = controlSettings(settings)
  const { commandRules, registrarRules, tellsTwinChanges } = options
  const life = await beginEdgeLife(dataDir, edgeId)
  let endTakenOver = (_sessionId: string): void => {}
  const control = await openEdgeControl({
    dataDir,
    postgresUrl,
    rules,
    devicesCachedMax,
    commandRules,
    tellsTwinChanges,
    registrarRules,
    metrics,
    logger,
    onTakenOver: (sessionId) => endTakenOver(sessionId),
    downlink: { edgeId: life.id, edge: downlink },
    listensAt: downlinkAddress(settings, index),
  })
  const { authenticator, quotas, presence, sessions, takeOver } = control
  const heard = new HeardDevices(limits.heardDevicesMax)
  return {
    ...edgeAuthentication({ authenticator, sessions }, heard),
    commandQueues: control.commands,
    deviceUploads: control.uploads,
    provisioning: {
      idScope: registrarRules.idScope,
      registrar: control.registrar,
      perSecond: settings.provisioningPerSecond,
    },
    twins: { store: control.twins, catchesUp: settings.desiredCatchUp === 'on' },
    lost: await lostBefore(life, presence),
    beat: async (edge) => {
      edge.forEachHeard(limits.edgeBeatMs, (id, atMs) => heard.add(id, atMs))
      await tellHeard(life, heard, presence, logger)
    },
    onPresence: (deviceId, moduleId, connected, modelId) => {
      presence.report([{ deviceId, moduleId, connected, edgeId: life.id, atMs: Date.now(), modelId }])
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

/** What lives before this one held. That there is nothing of this one to reset makes it known to the registry. */
async function lostBefore(life: EdgeLife, presence: EdgePresence): Promise<IdentityId[]> {
  const lost: IdentityId[] = []
  for (const id of [...life.departed, life.id]) lost.push(...(await presence.reset(id, Date.now())))
  return lost
}

async function tellHeard(life: EdgeLife, heard: HeardDevices, presence: EdgePresence, logger: Logger): Promise<void> {
  const records = heard.take()
  try {
    do await presence.beat(life.id, records.splice(0, limits.beatRecordsMax))
    while (records.length > 0)
  } catch (error) {
    logger.warn('the registry did not hear that this edge lives, and whom it heard of', { error })
  }
}
