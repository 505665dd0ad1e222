/** Connections of endpoints to brokers that operators name, to no address that is not allowed. */
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import { promisify } from 'node:util'
import { type EndpointError, held, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { guardedLookup, type OutgoingRules, refusalOfAddress, refusedAddress } from '#runtime/outgoing-addresses.ts'

export interface BrokerAddress {
  /** A name, or an address without brackets. */
  readonly host: string
  readonly port: number
}

export function brokerAddress(url: string, portDefault: number): BrokerAddress {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || portDefault }
}

/** @throws EndpointError: held of an address that is spelt out and not allowed */
export function assertAllowed({ host, port }: BrokerAddress, rules: OutgoingRules): void {
  const refusal = refusalOfAddress(host, port, rules)
  if (refusal !== undefined) throw held(refusal, 'Unauthorized')
}

/**
 * A socket that is being opened, for a library that takes one; `assertAllowed` comes before. It fails where the name leads to an address
 * that is not allowed.
 * @param tls of one with TLS: `ca` where authorities are named, or all of it as a context
 */
export function guardedSocket(
  address: BrokerAddress,
  rules: OutgoingRules,
  tls: { readonly ca?: string | undefined; readonly secureContext?: SecureContext } | undefined,
): Socket {
  const options = { ...address, lookup: guardedLookup(address.port, rules), noDelay: true, keepAlive: true }
  if (tls === undefined) return connectPlain(options)
  const { ca, ...context } = tls
  return connectTls({ ...options, ...context, ...(ca === undefined ? {} : { ca }) })
}

/** Addresses of a broker, for a library that opens its socket by itself: it is given no name that could lead elsewhere later. @throws EndpointError */
export async function allowedAddresses({ host, port }: BrokerAddress, rules: OutgoingRules): Promise<string[]> {
  assertAllowed({ host, port }, rules)
  if (isIP(host) !== 0) return [host]
  try {
    const resolved = (await promisify(guardedLookup(port, rules))(host, { all: true })) as unknown
    return (resolved as { readonly address: string }[]).map(({ address }) => address)
  } catch (error) {
    throw connectionFault(error, { host, port })
  }
}

/** What a connection that does not come about, or breaks, means to the endpoint. */
export function connectionFault(error: unknown, { host, port }: BrokerAddress): EndpointError {
  const { code = '', message = '' } = (error ?? {}) as { code?: string; message?: string }
  if (code === refusedAddress) return held(message, 'Unauthorized')
  return unavailable(`${host}:${port} cannot be reached: ${code || message || 'the connection broke'}`, 'Transient')
}
