import { type IdentityId, isIdentityId } from '#schemas/identity-id.ts'

/** What lies behind an address, and whose it is. */
export type Address = { readonly kind: 'tokens' } | DeviceAddress

export interface DeviceAddress {
  readonly kind: 'events' | 'commands' | 'methods' | 'twin'
  readonly id: IdentityId
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
 *
 * Some clients send whole addresses, as `amqps://{host}/…`, and some spell words their own way. Ids keep their case.
 */
export function addressOf(text: string): Address | undefined {
  const path = text.replace(/^amqps?:\/\/[^/]*/i, '').replace(/^\//, '')
  if (path.toLowerCase() === '$cbs') return { kind: 'tokens' }
  const segments = path.split('/')
  if (segments[0]?.toLowerCase() !== 'devices') return undefined
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
