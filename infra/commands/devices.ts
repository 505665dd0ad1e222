/**
 * `penstock devices …`: the registry from the command line, over its REST API.
 */

import { formatConnectionString } from '#control/auth/connection-string.ts'
import { RestClient } from '#control/client/client.ts'
import { newKey, topicWarning } from '#control/identities/identity.ts'
import { aText, listOf, optional, recordOf, wholeAs } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { argumentsOf } from './arguments.ts'
import { listQuotas, runQuotaCommand } from './quota.ts'
import { type RegistryCommandOptions, registryCommand } from './registry-command.ts'

const usage = `penstock devices <command>

  create <id> [--disabled] [--edge] [--thumbprint <hex>] [--ca]   make a device, or a module as device/module
  list [--top <count>]                                            all devices, or the first ones
  show <id>                                                       everything that is kept of one
  disable <id> [<reason>]     enable <id>                         cut it off, or let it in again
  rekey <id> [--primary|--secondary]                              give it new keys, or one; the old ones end at once
  connection-string <id> [--secondary]                            what the device needs to connect
  delete <id>
  quota <id> [messages:<n>] [bytes:<n>] [connections:<n>]         what it may do a second (connections: a minute), 0: any;
                                                                  set as a whole, or shown
  quota <id> --remove         quotas                              as the settings say again; all that are set

  --json   print documents as JSON`

const devicesOptions = {
  top: 'value',
  thumbprint: 'value',
  disabled: 'bare',
  edge: 'bare',
  ca: 'bare',
  primary: 'bare',
  secondary: 'bare',
  remove: 'bare',
  json: 'bare',
} as const

interface Device {
  readonly deviceId: string
  readonly moduleId?: string | undefined
  readonly status?: string | undefined
  readonly connectionState: string
  readonly lastActivityTime: string
  readonly authentication: {
    readonly type: string
    readonly symmetricKey: { readonly primaryKey?: string | undefined; readonly secondaryKey?: string | undefined }
  }
}

const keys = recordOf({ primaryKey: optional(aText), secondaryKey: optional(aText) })

/** A document is shown, and put back, as it came. */
const deviceCheck = wholeAs<Device>(
  recordOf({
    deviceId: aText,
    moduleId: optional(aText),
    status: optional(aText),
    connectionState: aText,
    lastActivityTime: aText,
    authentication: recordOf({ type: aText, symmetricKey: keys }),
  }),
)

export const devicesCommand = registryCommand(usage, runDevicesCommand)

/**
 * Carries out one command.
 * @param args what stands behind `devices`
 * @throws PenstockError CONTROL_COMMAND_INVALID (message: what is wrong, with the usage), CONTROL_UNREACHABLE, CONTROL_REFUSED
 */
export async function runDevicesCommand(args: readonly string[], options: RegistryCommandOptions): Promise<void> {
  const { words, flags } = argumentsOf(args, devicesOptions, invalid)
  const [command, id] = words
  const client = new RestClient(options)
  const print = (device: Device) =>
    options.write(flags.has('json') ? JSON.stringify(device, undefined, 2) : textOf(device))
  if (command === 'list') return list(client, flags, options.write)
  if (command === 'quotas') return listQuotas(client, options.write)
  if (command === undefined || id === undefined) throw invalid('a command and an id are expected')
  const get = (): Promise<Device> => client.json(deviceCheck, 'GET', pathOf(id))
  switch (command) {
    case 'create': {
      const device = await put(client, id, newDocument(flags), false)
      print(device)
      const warning = topicWarning({ deviceId: device.deviceId, moduleId: device.moduleId })
      if (warning) options.write(`warning: ${warning}`)
      options.write(connectionString(device, options.deviceHostName, false))
      return
    }
    case 'show':
      print(await get())
      return
    case 'disable':
    case 'enable': {
      const device = await get()
      const status = { status: `${command}d`, statusReason: words[2] ?? null }
      print(await put(client, id, { ...device, ...status }, true))
      return
    }
    case 'rekey': {
      const device = await get()
      const both = flags.has('primary') === flags.has('secondary')
      const before = device.authentication.symmetricKey
      const symmetricKey = {
        primaryKey: both || flags.has('primary') ? newKey() : before.primaryKey,
        secondaryKey: both || flags.has('secondary') ? newKey() : before.secondaryKey,
      }
      const changed = await put(client, id, { ...device, authentication: { type: 'sas', symmetricKey } }, true)
      options.write(connectionString(changed, options.deviceHostName, !both && flags.has('secondary')))
      return
    }
    case 'connection-string':
      options.write(connectionString(await get(), options.deviceHostName, flags.has('secondary')))
      return
    case 'delete':
      await client.call('DELETE', pathOf(id), undefined, { 'If-Match': '*' })
      options.write(`deleted ${id}`)
      return
    case 'quota':
      await runQuotaCommand(client, id, words.slice(2), flags.has('remove'), options.write, invalid)
      return
    default:
      throw invalid(`${command} is not a command`)
  }
}

function newDocument(flags: ReadonlyMap<string, string>): Readonly<Record<string, unknown>> {
  const thumbprint = flags.get('thumbprint')
  const authentication = flags.has('ca')
    ? { type: 'certificateAuthority' }
    : thumbprint === undefined
      ? undefined
      : { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: thumbprint } }
  return {
    status: flags.has('disabled') ? 'disabled' : 'enabled',
    capabilities: { iotEdge: flags.has('edge') },
    authentication,
  }
}

async function list(
  client: RestClient,
  flags: ReadonlyMap<string, string>,
  write: (line: string) => void,
): Promise<void> {
  let left = Number(flags.get('top') ?? Number.POSITIVE_INFINITY)
  if (Number.isNaN(left) || left < 1) throw invalid('--top needs a positive number')
  const path = `/devices?top=${Math.min(left, 1_000)}`
  for await (const device of client.items(listOf(deviceCheck), 'GET', path)) {
    write(flags.has('json') ? JSON.stringify(device) : lineOf(device))
    if (--left === 0) break
  }
}

function put(client: RestClient, id: string, document: object, replace: boolean): Promise<Device> {
  return client.json(deviceCheck, 'PUT', pathOf(id), document, replace ? { 'If-Match': etagOf(document) } : {})
}

/** The replacement must be of what was read: otherwise two administrators undo one another's work. */
function etagOf(document: object): string {
  return 'etag' in document && typeof document.etag === 'string' ? `"${document.etag}"` : '*'
}

function pathOf(id: string): string {
  const [device = '', module] = id.split('/')
  const path = `/devices/${encodeURIComponent(device)}`
  return module === undefined ? path : `${path}/modules/${encodeURIComponent(module)}`
}

function connectionString(device: Device, hostName: string, secondary: boolean): string {
  const { type, symmetricKey } = device.authentication
  const key = secondary ? symmetricKey.secondaryKey : symmetricKey.primaryKey
  return formatConnectionString({
    hostName,
    deviceId: device.deviceId,
    moduleId: device.moduleId,
    ...(type === 'sas' ? { sharedAccessKey: key ?? '' } : { x509: type !== 'none' }),
  })
}

function lineOf(device: Device): string {
  const { status, connectionState, authentication } = device
  return `${idOf(device)}\t${status ?? ''}\t${connectionState}\t${authentication.type}`
}

function textOf(device: Device): string {
  const { authentication, ...fields } = device
  const lines = Object.entries(fields).map(
    ([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`,
  )
  return [...lines, `authentication: ${authentication.type}`].join('\n')
}

function idOf({ deviceId, moduleId }: Device): string {
  return moduleId === undefined ? deviceId : `${deviceId}/${moduleId}`
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
