/** What an edge process knows of control: who may connect, quotas of single devices, and what other edges take over. */
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { AdmissionRules } from './auth/auth.ts'
import { Authenticator } from './auth/authenticator.ts'
import type { CommandQueues, CommandRules } from './commands/commands.ts'
import type { Directory } from './link/directory.ts'
import { controlSocketPath } from './link/directory-contract.ts'
import { RegistryDirectory } from './link/registry-directory.ts'
import { RemoteDirectory } from './link/remote-directory.ts'
import { openRegistry } from './open-registry.ts'
import type { EdgePresence } from './presence/presence.ts'
import { TakeOver } from './presence/take-over.ts'
import { QuotaWatch } from './quotas/quota-watch.ts'

export interface DirectoryOptions {
  readonly commandRules?: CommandRules | undefined
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
  readonly clock?: Clock
}

export interface EdgeControl {
  readonly authenticator: Authenticator
  readonly quotas: QuotaWatch
  readonly presence: EdgePresence
  readonly takeOver: TakeOver
  readonly commands: CommandQueues
  close(): Promise<void>
}

/** Rejects, with AUTH_DIRECTORY_UNAVAILABLE, where the control role or PostgreSQL does not answer. */
export async function openEdgeControl(options: EdgeControlOptions): Promise<EdgeControl> {
  const { rules, devicesCachedMax, metrics, logger, onTakenOver, clock = systemClock } = options
  const directory = await openDirectory(options)
  try {
    const authenticator = new Authenticator({ directory, rules, devicesCachedMax, metrics, logger, clock })
    await authenticator.warm()
    const quotas = await QuotaWatch.open(directory, clock, logger)
    const takeOver = new TakeOver(directory, clock, logger, onTakenOver)
    return {
      authenticator,
      quotas,
      presence: directory,
      commands: directory,
      takeOver,
      async close() {
        authenticator.close()
        quotas.close()
        await takeOver.close()
        await directory.close()
      },
    }
  } catch (error) {
    await directory.close()
    throw error
  }
}

/** Connections an edge process keeps to PostgreSQL: look-ups are batched one after another, presence and trust beside them. */
const edgeConnectionsMax = 3

/** The directory of an edge process: PostgreSQL itself where there is one, else the control role of this data folder. */
export async function openDirectory({
  dataDir,
  postgresUrl,
  logger,
  commandRules,
}: DirectoryOptions): Promise<Directory> {
  if (postgresUrl === undefined) return new RemoteDirectory(controlSocketPath(dataDir), logger)
  const connectionsMax = edgeConnectionsMax
  const registry = await openRegistry({ postgresUrl, dataDir: undefined, connectionsMax, logger, commandRules })
  return new RegistryDirectory(registry, logger, { ownsRegistry: true })
}
