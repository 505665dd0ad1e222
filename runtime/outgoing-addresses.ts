/**
 * Where this program may connect to on someone's word. An address that is written in a document of an operator must not reach what only
 * this machine should: the metadata service of a cloud, neighbours on the link, and this program's own ports.
 *
 * Names are judged by what they resolve to, in the look-up whose answer the socket then uses: judging them before would leave time to
 * change the answer.
 */
import { lookup as resolveName } from 'node:dns'
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'

const never = new BlockList()
// This host on this network, and link-local addresses, where clouds answer questions about the machine (RFC 6890, RFC 4291).
never.addSubnet('0.0.0.0', 8, 'ipv4')
never.addSubnet('169.254.0.0', 16, 'ipv4')
never.addSubnet('fe80::', 10, 'ipv6')
// Multicast and broadcast.
never.addSubnet('224.0.0.0', 3, 'ipv4')
never.addSubnet('ff00::', 8, 'ipv6')
// Metadata services that are not link-local.
never.addAddress('fd00:ec2::254', 'ipv6')
never.addAddress('100.100.100.200', 'ipv4')

export interface OutgoingRules {
  /** Ports of this machine that this program listens on. */
  readonly ownPorts: readonly number[]
  /** Hosts, or `host:port`, that are allowed whatever they are, as written in an address. */
  readonly allowed: readonly string[]
  /** Not even other ports of this machine. */
  readonly isMachineRefused?: boolean
}

/** Why nothing is sent to an address that is spelt out; `undefined` if something may be. A name is judged later, by `guardedLookup`. */
export function refusalOfAddress(host: string, port: number, rules: OutgoingRules): string | undefined {
  if (isAllowed(host, port, rules)) return undefined
  const address = host.replace(/^\[|\]$/g, '')
  const reason = isIP(address) === 0 ? undefined : reasonAgainst(address, port, rules)
  return reason === undefined ? undefined : `${host}:${port} ${reason}`
}

/** A `lookup` for sockets to `port` that fails where a name leads to an address that is not allowed. */
export function guardedLookup(port: number, rules: OutgoingRules): LookupFunction {
  return (host, options, callback) => {
    resolveName(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, [])
        return
      }
      const reason = isAllowed(host, port, rules)
        ? undefined
        : addresses.map(({ address }) => reasonAgainst(address, port, rules)).find((each) => each !== undefined)
      if (reason !== undefined)
        callback(Object.assign(new Error(`${host}:${port} ${reason}`), { code: refusedAddress }), [])
      else if (options.all === true) callback(null, addresses)
      else callback(null, addresses[0]?.address ?? '', addresses[0]?.family)
    })
  }
}

/** `code` of the fault of a socket that was not opened. */
export const refusedAddress = 'PENSTOCK_ADDRESS_REFUSED'

function isAllowed(host: string, port: number, { allowed }: OutgoingRules): boolean {
  return allowed.includes(host) || allowed.includes(`${host}:${port}`)
}

function reasonAgainst(
  written: string,
  port: number,
  { ownPorts, isMachineRefused }: OutgoingRules,
): string | undefined {
  const address = withoutMapping(written)
  if (never.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'))
    return 'is an address of this link or machine that endpoints do not reach'
  if (isMachineRefused && isOwn(address)) return 'is an address of this machine'
  if (ownPorts.includes(port) && isOwn(address)) return "is one of Penstock's own ports"
  return undefined
}

/** An IPv4 address in IPv6 clothes (RFC 4291 section 2.5.5.2, RFC 6052), of which the kernel makes the same connection. */
function withoutMapping(address: string): string {
  if (!isIPv6(address)) return address
  const canonical = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1)
  const [, high = '', low = ''] = /^(?:::ffff:|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical) ?? []
  if (low === '') return canonical
  const bytes = [high, low].flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255])
  return bytes.join('.')
}

function isOwn(address: string): boolean {
  if (address.startsWith('127.') || address === '::1' || address === '::') return true
  return Object.values(networkInterfaces()).some((each) => each?.some((own) => own.address === address))
}
