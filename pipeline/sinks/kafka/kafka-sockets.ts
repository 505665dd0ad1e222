/** Sockets to brokers: to those that the endpoint names, and to those that these name in turn, each judged when it is opened. */
import { Socket } from 'node:net'
import { createSecureContext } from 'node:tls'
import { held } from '#pipeline/endpoints/endpoint-error.ts'
import { hostOf } from '#pipeline/kafka/client.ts'
import { isLoopbackBind } from '#runtime/loopback.ts'
import { type OutgoingRules, refusalOfAddress, refusedAddress } from '#runtime/outgoing-addresses.ts'
import type { KafkaSettings } from '#schemas/endpoint-kinds/kafka.ts'
import { guardedSocket } from '../queues/guarded-socket.ts'

export interface SocketRequest {
  readonly host: string
  readonly port: number
  readonly onConnect: () => void
}

/** @throws EndpointError: held if the certificates of the settings can't be used */
export function kafkaSockets(settings: KafkaSettings, rules: OutgoingRules): (request: SocketRequest) => Socket {
  const { sasl } = settings
  const tls = settings.tls === 'off' ? undefined : tlsOf(settings)
  return ({ host: name, port, onConnect }) => {
    const host = hostOf(name)
    const refusal = refusalOfAddress(host, port, rules)
    if (refusal !== undefined) return refusing(refusal)
    if (sasl === 'plain' && tls === undefined && !isLoopbackBind(host))
      return refusing(`${host}:${port} is another machine, and the password would be sent to it in the clear`)
    const socket = guardedSocket({ host, port }, rules, tls)
    return socket.once(tls === undefined ? 'connect' : 'secureConnect', onConnect)
  }
}

function tlsOf({ ca, certificate, key }: KafkaSettings) {
  try {
    const shown = certificate === undefined || key === undefined ? {} : { cert: certificate, key }
    const context = createSecureContext({ minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }), ...shown })
    return { secureContext: context }
  } catch (error) {
    // The text of a key that can't be read is not in it.
    throw held(`ca, certificate or key cannot be used: ${error instanceof Error ? error.message : ''}`, 'Unauthorized')
  }
}

function refusing(reason: string): Socket {
  return new Socket().destroy(Object.assign(new Error(reason), { code: refusedAddress }))
}
