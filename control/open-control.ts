/**
 * The control role put together: registry, policies, the gate for services, and the directory that edges of this machine ask.
 *
 *   openControl    the one process that owns the embedded store, or one of many on PostgreSQL
 *   openDirectory  every edge process
 */
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { AdmissionRules } from './auth/admission.ts'
import type { Directory } from './link/directory.ts'
import { controlSocketPath } from './link/directory-protocol.ts'
import { assertUnserved, serveDirectory } from './link/directory-server.ts'
import { RegistryDirectory } from './link/registry-directory.ts'
import { RemoteDirectory } from './link/remote-directory.ts'
import { openRegistry } from './open-registry.ts'
import type { Registry } from './registry.ts'
import { registerRegistryRoutes } from './rest/registry-routes.ts'
import { ServiceGate } from './rest/service-gate.ts'
import { ensurePolicies, rekeyPolicy } from './trust/policies.ts'

export interface ControlOptions {
  readonly dataDir: string
  /** `undefined`: embedded under `dataDir`. */
  readonly postgresUrl: string | undefined
  readonly postgresConnectionsMax: number
  /** `undefined`: made and kept at the first start. */
  readonly ownerKey: string | undefined
  readonly rules: AdmissionRules
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  /** Area `audit`. */
  readonly audit: Logger
  readonly clock?: Clock
}

export interface Control {
  readonly registry: Registry
  /** For an edge in this process. */
  readonly directory: Directory
  readonly gate: ServiceGate
  /** The primary key of policy `iothubowner`. */
  readonly ownerKey: string
  /** @param tls true if the server speaks TLS; without it tokens are taken from this machine only */
  registerRoutes(router: HttpRouter, tls: boolean): void
  close(): Promise<void>
}

/** @throws PenstockError as `openRegistry`, SETTINGS_INVALID, PORT_UNAVAILABLE if a control role already serves this data folder */
export async function openControl(options: ControlOptions): Promise<Control> {
  const { dataDir, postgresUrl, postgresConnectionsMax, metrics, logger, audit } = options
  const clock = options.clock ?? systemClock
  // Before anything of the store is touched: what has no lock that this version knows still serves here.
  await assertUnserved(controlSocketPath(dataDir))
  const registry = await openRegistry({ postgresUrl, dataDir, connectionsMax: postgresConnectionsMax, logger, clock })
  const directory = new RegistryDirectory(registry, logger)
  try {
    const ownerKey = await ensurePolicies(registry, dataDir, options.ownerKey)
    const gate = await ServiceGate.open(registry, options.rules, clock, logger)
    const server = await serveDirectory(controlSocketPath(dataDir), directory, logger)
    return {
      registry,
      directory,
      gate,
      ownerKey,
      registerRoutes: (router, tls) =>
        registerRegistryRoutes(router, {
          registry,
          gate,
          rekeyPolicy: (name, which) => rekeyPolicy(registry, options, name, which),
          metrics,
          audit,
          logger,
          clock,
          tls,
        }),
      async close() {
        await server.close()
        gate.close()
        await directory.close()
        await registry.close()
      },
    }
  } catch (error) {
    await directory.close()
    await registry.close()
    throw error
  }
}

export interface DirectoryOptions {
  readonly dataDir: string
  readonly postgresUrl: string | undefined
  readonly logger: Logger
}

/** Connections an edge process keeps to PostgreSQL: look-ups are batched one after another, presence and trust beside them. */
const edgeConnectionsMax = 3

/** The directory of an edge process: PostgreSQL itself where there is one, else the control role of this data folder. */
export async function openDirectory({ dataDir, postgresUrl, logger }: DirectoryOptions): Promise<Directory> {
  if (postgresUrl === undefined) return new RemoteDirectory(controlSocketPath(dataDir), logger)
  const registry = await openRegistry({ postgresUrl, dataDir: undefined, connectionsMax: edgeConnectionsMax, logger })
  return new RegistryDirectory(registry, logger, { ownsRegistry: true })
}
