/**
 * `penstock devices …`: the registry from the command line, over its REST API.
 */

import { PenstockError } from '#schemas/errors.ts'
import { formatConnectionString } from './auth/connection-string.ts'
import { ownerPolicyName } from './auth/policies.ts'
import { createSasToken } from './auth/sas-token.ts'
import { newKey } from './identity.ts'

export const devicesUsage = `penstock devices <command>

  create <id> [--disabled] [--edge] [--thumbprint <hex>] [--ca]   make a device, or a module as device/module
  list [--top <count>]                                            all devices, or the first ones
  show <id>                                                       everything that is kept of one
  disable <id> [<reason>]     enable <id>                         cut it off, or let it in again
  rekey <id>                                                      give it new keys; the old ones end at once
  connection-string <id> [--secondary]                            what the device needs to connect
  delete <id>

  --json   print documents as JSON`

export interface DevicesCommandOptions {
  /** Of the control plane, e.g. `http://127.0.0.1:8080`. */
  readonly url: string
  /** The hub's name, for tokens and connection strings. */
  readonly hostName: string
  readonly ownerKey: string
  readonly write: (line: string) => void
}

interface Device {
  readonly deviceId: string
  readonly moduleId?: string
  readonly status?: string
  readonly connectionState: string
  readonly lastActivityTime: string
  readonly authentication: {
    readonly type: string
    readonly symmetricKey: { readonly primaryKey: string | null; readonly secondaryKey: string | null }
  }
}

/**
 * Carries out one command.
 * @param args what stands behind `devices`
 * @throws PenstockError CONTROL_COMMAND_INVALID (message: what is wrong, with the usage), CONTROL_UNREACHABLE, CONTROL_REFUSED
 */
export async function runDevicesCommand(args: readonly string[], options: DevicesCommandOptions): Promise<void> {
  const { words, flags } = argumentsOf(args)
  const [command, id] = words
  const client = new RegistryClient(options)
  const print = (device: Device) =>
    options.write(flags.has('json') ? JSON.stringify(device, undefined, 2) : textOf(device))
  if (command === 'list') return list(client, flags, options.write)
  if (command === undefined || id === undefined) throw invalid('a command and an id are expected')
  switch (command) {
    case 'create': {
      const device = await client.put(id, newDocument(flags), false)
      print(device)
      options.write(connectionString(device, options.hostName, false))
      return
    }
    case 'show':
      print(await client.get(id))
      return
    case 'disable':
    case 'enable': {
      const device = await client.get(id)
      const status = { status: `${command}d`, statusReason: words[2] ?? null }
      print(await client.put(id, { ...device, ...status }, true))
      return
    }
    case 'rekey': {
      const device = await client.get(id)
      const symmetricKey = { primaryKey: newKey(), secondaryKey: newKey() }
      const changed = await client.put(id, { ...device, authentication: { type: 'sas', symmetricKey } }, true)
      options.write(connectionString(changed, options.hostName, false))
      return
    }
    case 'connection-string':
      options.write(connectionString(await client.get(id), options.hostName, flags.has('secondary')))
      return
    case 'delete':
      await client.call('DELETE', pathOf(id), undefined, { 'If-Match': '*' })
      options.write(`deleted ${id}`)
      return
    default:
      throw invalid(`${command} is not a command`)
  }
}

const flagsWithValue = new Set(['top', 'thumbprint'])
const flagsWithout = new Set(['disabled', 'edge', 'ca', 'secondary', 'json'])

function argumentsOf(args: readonly string[]): { words: string[]; flags: Map<string, string> } {
  const words: string[] = []
  const flags = new Map<string, string>()
  const rest = [...args]
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (!arg.startsWith('--')) {
      words.push(arg)
      continue
    }
    const name = arg.slice(2)
    const value = flagsWithValue.has(name) ? rest.shift() : flagsWithout.has(name) ? '' : undefined
    if (value === undefined) throw invalid(`${arg} is not an option, or lacks its value`)
    flags.set(name, value)
  }
  return { words, flags }
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
  client: RegistryClient,
  flags: ReadonlyMap<string, string>,
  write: (line: string) => void,
): Promise<void> {
  let left = Number(flags.get('top') ?? Number.POSITIVE_INFINITY)
  if (Number.isNaN(left) || left < 1) throw invalid('--top needs a positive number')
  let continuation = ''
  do {
    const page = await client.call('GET', `/devices?top=${Math.min(left, 1_000)}`, undefined, {
      ...(continuation === '' ? {} : { 'x-ms-continuation': continuation }),
    })
    const devices = (await page.json()) as Device[]
    for (const device of devices) write(flags.has('json') ? JSON.stringify(device) : lineOf(device))
    left -= devices.length
    continuation = page.headers.get('x-ms-continuation') ?? ''
  } while (continuation !== '' && left > 0)
}

class RegistryClient {
  readonly #options: DevicesCommandOptions

  constructor(options: DevicesCommandOptions) {
    this.#options = options
  }

  async get(id: string): Promise<Device> {
    return (await (await this.call('GET', pathOf(id))).json()) as Device
  }

  async put(id: string, document: object, replace: boolean): Promise<Device> {
    const headers: Record<string, string> = replace ? { 'If-Match': etagOf(document) } : {}
    return (await (await this.call('PUT', pathOf(id), document, headers)).json()) as Device
  }

  async call(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Response> {
    const { url, hostName, ownerKey } = this.#options
    const authorization = createSasToken({
      scope: hostName,
      key: ownerKey,
      policyName: ownerPolicyName,
      expiresAtMs: Date.now() + 300_000,
    })
    let response: Response
    try {
      response = await fetch(`${url}${path}`, {
        method,
        headers: { ...headers, Authorization: authorization, 'Content-Type': 'application/json; charset=utf-8' },
        body: body && JSON.stringify(body),
      })
    } catch (cause) {
      throw new PenstockError('CONTROL_UNREACHABLE', `nothing answers at ${url}: is penstock running?`, { cause })
    }
    if (!response.ok) throw new PenstockError('CONTROL_REFUSED', messageOf(await response.text(), response.status))
    return response
  }
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

function messageOf(body: string, status: number): string {
  try {
    const { Message } = JSON.parse(body) as { Message?: unknown }
    if (typeof Message === 'string') return Message.replace(/^ErrorCode:[^;]*;/, '')
  } catch {
    // Something else than the control plane answered.
  }
  return `the control plane answered ${status}`
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
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${devicesUsage}`)
}
