import { deviceHostName } from '#control/auth/connection-string.ts'
import { type CommandOptions, type RestAccess, RestClient } from '#control/client/client.ts'
import { controlSettings } from '#control/control-settings.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { controlAuthorityOf } from '#infra/roles/tls-files.ts'
import { isLoopbackAddress, urlHost } from '#runtime/loopback.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { type Command, write } from './command.ts'

/** What a command is given that works over the registry's REST API. */
export interface RegistryCommandOptions extends CommandOptions {
  /** What devices connect to: see `deviceHostName`. */
  readonly deviceHostName: string
}

/** A command over the REST API of the running installation, as its owner. */
export function registryCommand(
  usage: string,
  run: (args: readonly string[], options: RegistryCommandOptions) => Promise<void>,
): Command {
  return {
    usage,
    async run(settings, args) {
      await run(args, await accessOf(settings))
      return undefined
    },
  }
}

/** @throws CONTROL_UNREACHABLE where the owner's key is not known */
async function accessOf(settings: Settings): Promise<RegistryCommandOptions> {
  const { dataDir, hostName } = controlSettings(settings)
  const url = settings.controlUrl ?? localUrl(settings, hostName)
  const access = { url, authority: controlAuthorityOf(settings), hostName }
  const keptKey = settings.ownerKey ?? readOwnerKey(dataDir)
  // Another machine's key is not kept here.
  const ownerKey =
    keptKey ?? (settings.controlUrl === undefined ? await ownerKeyAfterStart(access, dataDir) : undefined)
  if (ownerKey === undefined) {
    throw new PenstockError(
      'CONTROL_UNREACHABLE',
      `no owner key under ${dataDir}: run this where penstock runs, with its PENSTOCK_DATA_DIR, or give PENSTOCK_OWNER_KEY`,
    )
  }
  const mqttsPort = settings.tlsCert === undefined ? undefined : settings.mqttsPort
  return { ...access, deviceHostName: deviceHostName(hostName, mqttsPort), ownerKey, write }
}

/** Where this machine serves the registry: over TLS if only an address that others reach is bound, since tokens are not taken there without. */
function localUrl(settings: Settings, hostName: string): string {
  const { bind, httpPort, httpsPort, tlsCert } = settings
  const plain =
    tlsCert === undefined || bind === 'localhost' || bind === '0.0.0.0' || bind === '::' || isLoopbackAddress(bind)
  return plain ? `http://${urlHost(bind)}:${httpPort}` : `https://${hostName.replace(/:\d+$/, '')}:${httpsPort}`
}

/** Each waits for the registry as long as an edge lets it; on a slow machine a first start takes longer. */
const knocksMax = 3

/**
 * The first request of all starts the registry, which makes the key before it answers; that it refuses this one does not matter.
 * @throws CONTROL_UNREACHABLE
 */
async function ownerKeyAfterStart(access: Omit<RestAccess, 'ownerKey'>, dataDir: string): Promise<string | undefined> {
  const client = new RestClient({ ...access, ownerKey: '' })
  let ownerKey: string | undefined
  for (let knock = 0; knock < knocksMax && ownerKey === undefined; knock++) {
    try {
      await client.call('GET', '/devices')
    } catch (error) {
      if (!isPenstockError(error, 'CONTROL_REFUSED')) throw error
    }
    ownerKey = readOwnerKey(dataDir)
  }
  return ownerKey
}
