import type { RegistrantId } from '#ingest/session/principal.ts'
import { type IdentityId, isIdentityId } from '#schemas/identity-id.ts'

/** What lies behind an address, and whose it is. */
export type Address = { readonly kind: 'tokens' } | DeviceAddress | RegistrationAddress | ServiceAddress

/** Behind these a policy with the right ServiceConnect is asked for. */
export type ServiceAddress =
  | { readonly kind: 'management' }
  | PartitionAddress
  | { readonly kind: 'sentCommands' | 'feedback' | 'files' }
  /** Where the hub once had its events. @param path below it */
  | { readonly kind: 'moved'; readonly path: string }

export interface PartitionAddress {
  readonly kind: 'partition'
  readonly hub: string
  readonly group: string
  /** As it was written. */
  readonly partition: string
}

export interface DeviceAddress {
  readonly kind: 'events' | 'commands' | 'methods' | 'twin'
  readonly id: IdentityId
}

/** Where a device finds its hub. */
export interface RegistrationAddress {
  readonly kind: 'registration'
  readonly registrant: RegistrantId
}

/** By what follows the device or module in the path. */
const devicePlaces: Readonly<Record<string, DeviceAddress['kind']>> = {
  'messages/events': 'events',
  'messages/devicebound': 'commands',
  'methods/devicebound': 'methods',
  twin: 'twin',
}

/**
 * Reads the address of a link:
 *
 *   $cbs                                                     tokens
 *   [/]devices/{device}[/modules/{module}]/messages/events   and the other places of a device
 *   [/]{scope}/registrations/{id}                            registration of a device that has no hub yet
 *   $management                                              what is known of hubs of events
 *   {hub}/ConsumerGroups/{group}/Partitions/{partition}      events
 *   /messages/devicebound                                    commands from services
 *   /messages/servicebound/feedback, …/filenotifications     what services are told
 *
 * Some clients send whole addresses, as `amqps://{host}/…`, and some spell words their own way. Ids keep their case.
 */
export function addressOf(text: string): Address | undefined {
  const path = text.replace(/^(?:amqps?|sb):\/\/[^/]*/i, '').replace(/^\//, '')
  if (path.toLowerCase() === '$cbs') return { kind: 'tokens' }
  const segments = path.split('/')
  if (segments[0]?.toLowerCase() !== 'devices') {
    const registrant = registrantFrom(path)
    return registrant === undefined ? serviceAddressOf(path, segments) : { kind: 'registration', registrant }
  }
  const hasModule = segments[2]?.toLowerCase() === 'modules'
  const id = { deviceId: idOf(segments[1]), moduleId: hasModule ? idOf(segments[3]) : undefined }
  if (id.deviceId === undefined || (hasModule && id.moduleId === undefined)) return undefined
  const place = segments
    .slice(hasModule ? 4 : 2)
    .join('/')
    .toLowerCase()
  const kind = Object.hasOwn(devicePlaces, place) ? devicePlaces[place] : undefined
  return kind && { kind, id: { deviceId: id.deviceId, moduleId: id.moduleId } }
}

/** `{scope}/registrations/{id}`, as in addresses of links and as the name of a user. */
export function registrantFrom(path: string): RegistrantId | undefined {
  const [idScope = '', kind, registrationId = '', ...more] = path.split('/')
  const isOne = kind?.toLowerCase() === 'registrations' && idScope !== '' && registrationId !== '' && more.length === 0
  return isOne ? { idScope, registrationId } : undefined
}

const servicePlaces: Readonly<Record<string, ServiceAddress>> = {
  $management: { kind: 'management' },
  'messages/devicebound': { kind: 'sentCommands' },
  'messages/servicebound/feedback': { kind: 'feedback' },
  'messages/servicebound/filenotifications': { kind: 'files' },
}

const eventsOfOld = 'messages/events/'

function serviceAddressOf(path: string, segments: readonly string[]): ServiceAddress | undefined {
  const place = path.toLowerCase()
  if (Object.hasOwn(servicePlaces, place)) return servicePlaces[place]
  if (place.startsWith(eventsOfOld)) return { kind: 'moved', path: path.slice(eventsOfOld.length) }
  const [hub = '', groups, group = '', partitions, partition = '', ...more] = segments
  if (groups?.toLowerCase() !== 'consumergroups' || partitions?.toLowerCase() !== 'partitions') return undefined
  if (hub === '' || group === '' || partition === '' || more.length > 0) return undefined
  return { kind: 'partition', hub: hub.toLowerCase(), group, partition }
}

/** Most clients send an id as it is, and `%` may stand in one; some encode it. */
function idOf(segment = ''): string | undefined {
  if (isIdentityId(segment)) return segment
  try {
    const decoded = decodeURIComponent(segment)
    return isIdentityId(decoded) ? decoded : undefined
  } catch {
    return undefined
  }
}

/** What lies behind the host of a scope, segment by segment. */
export function pathOfScope(scope: string): string[] {
  let plain = scope
  try {
    plain = decodeURIComponent(scope)
  } catch {}
  const [, ...path] = plain.replace(/^[a-z]+:\/\//i, '').split('/')
  while (path.at(-1) === '') path.pop()
  return path
}
