import type { RestAccess } from '#control/client/client.ts'
import { controlSettings } from '#control/control-settings.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { loadTestFolder } from '#infra/roles/load-test-results.ts'
import { warehouseUrl } from '#infra/roles/open-role-warehouse.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { isLoopbackBind, urlHost } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { LoadTestAsked } from '#schemas/load-tests.ts'
import type { Settings } from '#schemas/settings.ts'

/** All that the process of a load test needs to know. It holds keys, so it goes over the channel to it, not in its environment. */
export interface LoadTestOrder {
  readonly run: string
  readonly asked: LoadTestAsked
  readonly url: string
  /** With user and password. */
  readonly clickhouse: string
  readonly metricsUrl: string
  readonly hubName: string
  /** `undefined`: devices need no identity. */
  readonly registry: RestAccess | undefined
  /** Where its result goes. */
  readonly folder: string
}

/** Where the installation is. */
export interface LoadTestTarget {
  readonly settings: Settings
  /** Of the edges. */
  readonly ports: Readonly<Record<string, number>>
  /** Where it is known; `undefined`: as settings have it. */
  readonly clickhouseUrl: string | undefined
  /** Of the control role of this machine; `undefined`: it does not run. */
  readonly controlUrl: string | undefined
}

/** @throws LOADTEST_IMPOSSIBLE */
export function loadTestOrder(
  run: string,
  asked: LoadTestAsked,
  { settings, ports, clickhouseUrl, controlUrl }: LoadTestTarget,
): LoadTestOrder {
  const host = hostToReach(settings.bind)
  // Only loopback takes credentials without TLS.
  const isPlain = isLoopbackBind(host)
  const port = isPlain ? ports.mqtt : ports.mqtts
  if (port === undefined || ports.http === undefined)
    throw new PenstockError('LOADTEST_IMPOSSIBLE', 'no edge of this machine listens where a load test could reach it')
  const { dataDir, hostName } = controlSettings(settings)
  return {
    run,
    asked,
    url: `${isPlain ? 'mqtt' : 'mqtts'}://${urlHost(host)}:${port}`,
    clickhouse: withUser(clickhouseUrl ?? warehouseUrl(settings, settings.clickhousePort), settings),
    metricsUrl: `http://${urlHost(host)}:${ports.http}/metrics`,
    hubName: hostName,
    registry: settings.identities === 'required' ? registryOf(settings, controlUrl, dataDir, hostName) : undefined,
    folder: loadTestFolder(dataDir),
  }
}

/** Every address is reached by loopback, too. */
function hostToReach(bind: string): string {
  return bind === '0.0.0.0' || bind === '::' ? '127.0.0.1' : bind
}

/** Rows are counted as who wrote them. */
function withUser(address: string, { clickhouseUser, clickhousePassword }: Settings): string {
  const url = new URL(address)
  if (clickhousePassword === '') return url.origin
  url.username = encodeURIComponent(clickhouseUser)
  url.password = encodeURIComponent(clickhousePassword)
  return url.href
}

/** @throws LOADTEST_IMPOSSIBLE */
function registryOf(settings: Settings, url: string | undefined, dataDir: string, hostName: string): RestAccess {
  const ownerKey = settings.ownerKey ?? readOwnerKey(dataDir)
  if (url === undefined || ownerKey === undefined)
    throw new PenstockError(
      'LOADTEST_IMPOSSIBLE',
      'the registry, where the devices of a load test must be, is not here',
    )
  return { url, hostName, ownerKey }
}

/** What the generators do. */
export function loadOptionsOf({ run, asked, url, clickhouse, hubName }: LoadTestOrder): LoadOptions {
  const { devices, rate, seconds, bodyBytes, qos } = asked
  return {
    ...loadDefaults,
    ...{ run, url, clickhouse, hubName, rate, seconds, bodyBytes },
    connections: devices,
    qos: qos === 0 ? 0 : 1,
    // To its own machine, where there is nobody in between.
    isTlsUnverified: url.startsWith('mqtts:'),
  }
}
