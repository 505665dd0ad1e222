/** What an edge process knows of control: who may connect, quotas of single devices, twins, and what other edges take over. */
import { type Clock, systemClock } from '#runtime/clock.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { repeating } from '#runtime/repeating.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { AdmissionRules } from './auth/auth.ts'
import { Authenticator } from './auth/authenticator.ts'
import type { CommandQueues, CommandRules } from './commands/commands.ts'
import type { EdgeAddresses } from './downlink/edge-addresses.ts'
import { listenForControl } from './downlink/edge-listener.ts'
import type { Directory } from './link/directory.ts'
import { controlSocketPath } from './link/directory-contract.ts'
import { RegistryDirectory } from './link/registry-directory.ts'
import { type NamedEdge, RemoteDirectory } from './link/remote-directory.ts'
import type { Registry } from './open-registry.ts'
import type { EdgePresence } from './presence/presence.ts'
import { TakeOver } from './presence/take-over.ts'
import type { Registrar } from './provisioning/provisioning.ts'
import type { RegistrarRules } from './provisioning/sql-registrar.ts'
import { QuotaWatch } from './quotas/quota-watch.ts'
import { SessionKeeper } from './sessions/session-keeper.ts'
import type { EdgeSessions } from './sessions/sessions.ts'
import type { DeviceTwins, WholeTwins } from './twins/twins.ts'
import type { DeviceUploads } from './uploads/uploads.ts'

export interface DirectoryOptions {
  readonly commandRules?: CommandRules | undefined
  /** As of `RegistryOptions`; with PostgreSQL only. */
  readonly tellsTwinChanges?: boolean | undefined
  readonly registrarRules?: RegistrarRules | undefined
  readonly dataDir: string
  readonly postgresUrl: string | undefined
  readonly logger: Logger
}

export interface EdgeControlOptions extends DirectoryOptions {
  readonly rules: AdmissionRules
  /** Devices whose credentials are kept in memory, about 1 KB each. */
  readonly devicesCachedMax: number
  readonly metrics: Metrics<MetricName>
  /** Ends the connection here of this device or module, `device` or `device/module`: a newer one is open at another edge process. */
  readonly onTakenOver: (sessionId: string) => void
  /** What this edge does for the downlink. */
  readonly downlink: NamedEdge
  /** Where it listens for control roles, with PostgreSQL only; left out: it does not. */
  readonly listensAt?: DownlinkAddress | undefined
  readonly clock?: Clock
}

export interface EdgeControl {
  readonly authenticator: Authenticator
  readonly quotas: QuotaWatch
  readonly presence: EdgePresence
  readonly sessions: EdgeSessions
  readonly takeOver: TakeOver
  readonly twins: DeviceTwins
  readonly commands: CommandQueues
  readonly uploads: DeviceUploads
  readonly registrar: Registrar
  close(): Promise<void>
}

export interface DownlinkAddress {
  readonly bind: string
  /** 0 picks a free one. */
  readonly port: number
  /** Under which control roles reach it. */
  readonly host: string
}

/** Rejects, with AUTH_DIRECTORY_UNAVAILABLE, where the control role or PostgreSQL does not answer. */
export async function openEdgeControl(options: EdgeControlOptions): Promise<EdgeControl> {
  const { rules, devicesCachedMax, metrics, logger, onTakenOver, clock = systemClock } = options
  const { directory, leave } = await openLinkedDirectory(options, clock)
  try {
    const authenticator = new Authenticator({ directory, rules, devicesCachedMax, metrics, logger, clock })
    await authenticator.warm()
    const quotas = await QuotaWatch.open(directory, clock, logger)
    const sessions = new SessionKeeper(directory, clock, logger)
    const takeOver = new TakeOver(directory, clock, logger, onTakenOver, options.downlink.edgeId)
    return {
      authenticator,
      quotas,
      presence: directory,
      commands: directory,
      uploads: directory.uploads,
      registrar: directory,
      sessions,
      takeOver,
      twins: directory.twins,
      async close() {
        authenticator.close()
        quotas.close()
        await takeOver.close()
        await sessions.close()
        await leave()
        await directory.close()
      },
    }
  } catch (error) {
    await leave()
    await directory.close()
    throw error
  }
}

interface LinkedDirectory {
  readonly directory: Directory
  /** Control reaches this edge no more. */
  leave(): Promise<void>
}

/** The directory, and the way by which control reaches devices here: the same local socket, or an address of this edge's own. */
async function openLinkedDirectory(options: EdgeControlOptions, clock: Clock): Promise<LinkedDirectory> {
  const { postgresUrl, listensAt, logger, downlink } = options
  if (postgresUrl === undefined || listensAt === undefined)
    return { directory: await openDirectory(options, downlink), leave: async () => {} }
  const registry = await openEdgeRegistry(postgresUrl, options)
  const directory = new RegistryDirectory(registry, logger, { ownsRegistry: true })
  try {
    const leave = await listenAtAddress(registry.edgeAddresses, downlink, listensAt, clock, logger)
    return { directory, leave }
  } catch (error) {
    await directory.close()
    throw error
  }
}

/** Connections an edge process keeps to PostgreSQL: look-ups are batched one after another, presence and trust beside them. */
const edgeConnectionsMax = 3

/** The directory of an edge process: PostgreSQL itself where there is one, else the control role of this data folder. */
export async function openDirectory(options: DirectoryOptions, downlink?: NamedEdge): Promise<Directory> {
  const { dataDir, postgresUrl, logger } = options
  if (postgresUrl === undefined) return new RemoteDirectory(controlSocketPath(dataDir), logger, systemClock, downlink)
  return new RegistryDirectory(await openEdgeRegistry(postgresUrl, options), logger, { ownsRegistry: true })
}

export interface OpenedTwins extends WholeTwins {
  close(): Promise<void>
}

/** Twins as routers read them, asked as an edge process asks. */
export async function openWholeTwins(options: DirectoryOptions): Promise<OpenedTwins> {
  const directory = await openDirectory(options)
  return { whole: (ids) => directory.twins.whole(ids), close: () => directory.close() }
}

/** The registry is half of what an edge would load: it is loaded where the edge asks PostgreSQL itself. */
async function openEdgeRegistry(postgresUrl: string, options: DirectoryOptions): Promise<Registry> {
  const { openRegistry } = await import('./open-registry.ts')
  return openRegistry({ ...options, postgresUrl, dataDir: undefined, connectionsMax: edgeConnectionsMax })
}

/** Listens for control, and says where, again and again: control forgets edges that it does not hear of. */
async function listenAtAddress(
  addresses: EdgeAddresses,
  { edgeId, edge }: NamedEdge,
  { bind, port, host }: DownlinkAddress,
  clock: Clock,
  logger: Logger,
): Promise<() => Promise<void>> {
  const listener = await listenForControl(edgeId, edge, await addresses.secret(), { host: bind, port }, clock, logger)
  const endPublishing = repeating(clock, async () => {
    await addresses
      .publish({ edgeId, host, port: listener.port })
      .catch((error: unknown) => logger.warn('control does not learn yet where this edge listens', { error }))
    return limits.edgeBeatMs
  })
  return async () => {
    await endPublishing()
    await listener.close()
  }
}

/**
 * Lets the control role of this data folder reach devices at an edge that believes every client, and so asks it nothing. The role may
 * come and go. @returns ends it
 */
export function joinDownlink(dataDir: string, downlink: NamedEdge): () => Promise<void> {
  const link = new RemoteDirectory(controlSocketPath(dataDir), silentLogger, systemClock, downlink)
  return () => link.close()
}
