/**
 * `penstock provisioning …`: enrolments, registrations and linked hubs from the command line, over the REST API.
 */
import { readFileSync } from 'node:fs'
import { type CommandOptions, RestClient } from '#control/client/client.ts'
import { hostNamesOf } from '#control/control-settings.ts'
import { derivedKey } from '#control/provisioning/derived-key.ts'
import { aNumber, aText, type JsonCheck, listOf, mapOf, optional, recordOf, wholeAs } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import type { Command } from './command.ts'
import { registryCommand } from './registry-command.ts'

const usage = `penstock provisioning <command>

  groups                              enrolment groups, and how their devices prove themselves
  enrolments                          devices that have an enrolment of their own
  add <id> [--group] [--certificate <file> | --authority <name>] [--document <file>]
                                      a new one: with keys, or with the certificate (PEM) of the device, or of a group's
                                      authority; --document has more of it, as the REST API does (JSON)
  rekey <id> [--group] --primary|--secondary
                                      a new key in the place of one
  recertify <id> [--group] --primary|--secondary --certificate <file> | --authority <name>
                                      --secondary: a second one beside the one there is; --primary: this one, alone
  disable <id> [--group]              its devices register no more; enable undoes it
  enable <id> [--group]
  delete <id> [--group] [--devices]   the same for good; --devices takes those that registered from their hubs too
  flash <registration> [--group <group>]
                                      what to put into a device
  registrations <group>               what became of the devices of a group
  show <registration>                 what became of one
  deregister <registration> [--device]
                                      forgets that; --device takes it from its hub too
  hubs                                the hubs that devices are sent to
  link <host> <connection string> [--weight <n>]
  unlink <host>                       devices that it has stay there`

/** Where devices register. */
export interface ProvisioningAccess extends CommandOptions {
  readonly idScope: string
  readonly provisioningHost: string
}

export const provisioningCommand: Command = {
  usage,
  run: (settings, args) =>
    registryCommand(usage, (words, options) => runProvisioningCommand(words, { ...options, ...placeOf(settings) })).run(
      settings,
      args,
    ),
}

function placeOf(settings: Settings): Pick<ProvisioningAccess, 'idScope' | 'provisioningHost'> {
  const [provisioningHost = ''] = settings.provisioningHostname?.split(',') ?? hostNamesOf(settings)
  return { idScope: settings.provisioningIdScope, provisioningHost: provisioningHost.trim() }
}

interface EnrolmentLine {
  readonly registrationId: string | undefined
  readonly enrollmentGroupId: string | undefined
  readonly provisioningStatus: string
  readonly allocationPolicy: string
  readonly attestation: { readonly type: string }
}

const enrolmentLine = recordOf<EnrolmentLine>({
  registrationId: optional(aText),
  enrollmentGroupId: optional(aText),
  provisioningStatus: aText,
  allocationPolicy: aText,
  attestation: recordOf<{ readonly type: string }>({ type: aText }),
})

interface RegistrationLine {
  readonly registrationId: string
  readonly status: string
  readonly assignedHub: string | undefined
  readonly deviceId: string | undefined
  readonly lastUpdatedDateTimeUtc: string
  readonly errorMessage: string | undefined
}

const registrationLine = recordOf<RegistrationLine>({
  registrationId: aText,
  status: aText,
  assignedHub: optional(aText),
  deviceId: optional(aText),
  lastUpdatedDateTimeUtc: aText,
  errorMessage: optional(aText),
})

interface HubLine {
  readonly hostName: string
  readonly allocationWeight: number
}

const hubLine = recordOf<HubLine>({ hostName: aText, allocationWeight: aNumber })

interface Keys {
  readonly primaryKey: string
  readonly secondaryKey: string
}

const keysCheck = recordOf<{ readonly symmetricKey: Keys | undefined }>({
  symmetricKey: optional(recordOf<Keys>({ primaryKey: aText, secondaryKey: aText })),
})

/** What is looked at of an enrolment; the rest goes back as it came. */
interface Enrolled {
  readonly etag: string
  readonly attestation: {
    readonly type: string
    readonly x509?: Readonly<Record<string, { readonly primary: unknown }>> | null
  }
}

const anything: JsonCheck<unknown> = (value) => value

const enrolled = wholeAs<Enrolled>(
  recordOf({
    etag: aText,
    attestation: recordOf({ type: aText, x509: optional(mapOf(recordOf({ primary: anything }))) }),
  }),
)

const flagKinds = {
  certificate: 'value',
  authority: 'value',
  document: 'value',
  weight: 'value',
  primary: 'bare',
  secondary: 'bare',
  devices: 'bare',
  device: 'bare',
} as const

type Flags = ReadonlyMap<string, string>

/** Carries out one command. @param args what stands behind `provisioning` @throws as `runDevicesCommand` */
export async function runProvisioningCommand(args: readonly string[], options: ProvisioningAccess): Promise<void> {
  const group = args[0] === 'flash' ? 'value' : 'bare'
  const { words, flags } = argumentsOf(args, { ...flagKinds, group }, invalid)
  const [command = '', id] = words
  const client = new RestClient(options)
  const lists: Readonly<Record<string, () => Promise<void>>> = {
    groups: () => list(client, options, 'enrollmentGroups/query', enrolmentLine, enrolmentText),
    enrolments: () => list(client, options, 'enrollments/query', enrolmentLine, enrolmentText),
    hubs: async () => {
      for (const hub of await client.json(listOf(hubLine), 'GET', '/linkedHubs'))
        options.write(`${hub.hostName}\t${hub.allocationWeight}`)
    },
  }
  if (Object.hasOwn(lists, command)) return lists[command]?.()
  if (id === undefined) throw invalid(command === '' ? 'a command is expected' : `${command} of what?`)
  return runOnOne(client, options, command, id, flags, words[2])
}

async function runOnOne(
  client: RestClient,
  options: ProvisioningAccess,
  command: string,
  id: string,
  flags: Flags,
  connectionString: string | undefined,
): Promise<void> {
  const { write } = options
  const path = pathOf(id, flags.has('group'))
  const takesDevices = flags.has('devices') || flags.has('device') ? '?devices=delete' : ''
  switch (command) {
    case 'add':
      write(enrolmentText(await client.json(enrolmentLine, 'PUT', path, documentOf(flags))))
      return
    case 'rekey':
      return rekey(client, path, flags, write)
    case 'recertify':
      return recertify(client, path, flags, write)
    case 'disable':
    case 'enable':
      return change(client, path, () => ({ provisioningStatus: `${command}d` }), write)
    case 'delete':
      await client.call('DELETE', `${path}${takesDevices}`)
      return write(`deleted ${id}`)
    case 'flash':
      return flash(client, options, id, flags.get('group'))
    case 'registrations':
      return list(client, options, `registrations/${encodeURIComponent(id)}/query`, registrationLine, registrationText)
    case 'show':
      return write(
        registrationText(await client.json(registrationLine, 'GET', `/registrations/${encodeURIComponent(id)}`)),
      )
    case 'deregister':
      await client.call('DELETE', `/registrations/${encodeURIComponent(id)}${takesDevices}`)
      return write(`deregistered ${id}`)
    case 'link': {
      const allocationWeight = Number(flags.get('weight') ?? 1)
      const body = { connectionString, allocationWeight }
      const hub = await client.json(hubLine, 'PUT', `/linkedHubs/${encodeURIComponent(id)}`, body)
      return write(`${hub.hostName}\t${hub.allocationWeight}`)
    }
    case 'unlink':
      await client.call('DELETE', `/linkedHubs/${encodeURIComponent(id)}`)
      return write(`unlinked ${id}`)
    default:
      throw invalid(`${command} is not a command`)
  }
}

function pathOf(id: string, isGroup: boolean): string {
  return `/${isGroup ? 'enrollmentGroups' : 'enrollments'}/${encodeURIComponent(id)}`
}

/** Page by page. */
async function list<Item>(
  client: RestClient,
  { write }: CommandOptions,
  path: string,
  check: JsonCheck<Item>,
  textOf: (item: Item) => string,
): Promise<void> {
  const pageSize = { 'x-ms-max-item-count': '1000' }
  for await (const item of client.items(listOf(check), 'POST', `/${path}`, { query: '*' }, pageSize))
    write(textOf(item))
}

function enrolmentText({ registrationId, enrollmentGroupId, ...enrolment }: EnrolmentLine): string {
  const { provisioningStatus, attestation, allocationPolicy } = enrolment
  return [registrationId ?? enrollmentGroupId, provisioningStatus, attestation.type, allocationPolicy].join('\t')
}

function registrationText(registration: RegistrationLine): string {
  const { registrationId, status, assignedHub, deviceId, lastUpdatedDateTimeUtc, errorMessage } = registration
  return [registrationId, status, assignedHub ?? '', deviceId ?? '', lastUpdatedDateTimeUtc, errorMessage ?? ''].join(
    '\t',
  )
}

/** What a new enrolment is made of. */
function documentOf(flags: Flags): object {
  const file = flags.get('document')
  const more = file === undefined ? {} : jsonIn(file)
  const certified = certifiedBy(flags)
  if (certified === undefined) return { attestation: { type: 'symmetricKey' }, ...more }
  const { field, value } = certified
  return { ...more, attestation: { type: 'x509', x509: { [field]: { primary: value } } } }
}

/** By whose certificate devices are known, and under which name an enrolment has it. */
function certifiedBy(flags: Flags): { readonly field: string; readonly value: unknown } | undefined {
  const certificateFile = flags.get('certificate')
  const authority = flags.get('authority')
  if (certificateFile !== undefined) {
    const field = flags.has('group') ? 'signingCertificates' : 'clientCertificates'
    return { field, value: { certificate: textIn(certificateFile) } }
  }
  return authority === undefined ? undefined : { field: 'caReferences', value: authority }
}

/** Reads and writes under the etag of what was read. */
async function change(
  client: RestClient,
  path: string,
  changesOf: (before: Enrolled) => object,
  write: (line: string) => void,
): Promise<void> {
  const before = await client.json(enrolled, 'GET', path)
  const after = { ...before, ...changesOf(before) }
  write(enrolmentText(await client.json(enrolmentLine, 'PUT', path, after, { 'If-Match': before.etag })))
}

/** One key is said; the other one stays what it is where it is written: it may be renewed by somebody else at this moment. */
async function rekey(client: RestClient, path: string, flags: Flags, write: (line: string) => void): Promise<void> {
  if (flags.has('primary') === flags.has('secondary')) throw invalid('either --primary or --secondary is expected')
  const which = flags.has('primary') ? 'primaryKey' : 'secondaryKey'
  const symmetricKey = { [which]: crypto.getRandomValues(Buffer.alloc(32)).toString('base64') }
  const renewedOf = ({ attestation: { type } }: Enrolled): object => {
    if (type !== 'symmetricKey')
      throw new PenstockError('CONTROL_REFUSED', `it proves itself by ${type}, and has no key`)
    return { attestation: { type, symmetricKey } }
  }
  await change(client, path, renewedOf, write)
}

async function recertify(client: RestClient, path: string, flags: Flags, write: (line: string) => void): Promise<void> {
  const certified = certifiedBy(flags)
  if (certified === undefined) throw invalid('either --certificate or --authority is expected')
  if (flags.has('primary') === flags.has('secondary')) throw invalid('either --primary or --secondary is expected')
  const { field, value } = certified
  const renewedOf = ({ attestation }: Enrolled): object => {
    const pair = attestation.x509?.[field]
    if (pair === undefined) throw new PenstockError('CONTROL_REFUSED', `it does not know its devices by ${field}`)
    const renewed = flags.has('primary') ? { primary: value } : { primary: pair.primary, secondary: value }
    return { attestation: { type: 'x509', x509: { [field]: renewed } } }
  }
  await change(client, path, renewedOf, write)
}

async function flash(
  client: RestClient,
  { write, idScope, provisioningHost }: ProvisioningAccess,
  registrationId: string,
  group: string | undefined,
): Promise<void> {
  const path = group === undefined ? pathOf(registrationId, false) : pathOf(group, true)
  const { symmetricKey } = await client.json(keysCheck, 'POST', `${path}/attestationmechanism`)
  write(`host=${provisioningHost}`)
  write(`id-scope=${idScope}`)
  write(`registration-id=${registrationId}`)
  if (symmetricKey === undefined) return write('certificate=yours, with the registration id as its common name')
  const { primaryKey } = symmetricKey
  write(`key=${group === undefined ? primaryKey : derivedKey(primaryKey, registrationId)}`)
}

function jsonIn(file: string): object {
  try {
    const document: unknown = JSON.parse(textIn(file))
    if (typeof document === 'object' && document !== null) return document
  } catch (error) {
    if (error instanceof PenstockError) throw error
  }
  throw invalid(`${file} holds no JSON object`)
}

function textIn(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new PenstockError('CONTROL_COMMAND_INVALID', `${file} cannot be read`, { cause })
  }
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
