/**
 * Messages for a stream of JetStream. Each has a `Nats-Msg-Id` of its own, so the stream leaves out one that comes again within its
 * duplicate window: within that, each is stored once.
 */
import { isIP } from 'node:net'
import type { Authenticator, ConnectionOptions, NatsConnection } from '@nats-io/transport-node'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { type EndpointError, held } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { NatsSettings } from '#schemas/endpoint-kinds/nats.ts'
import { percentEncoded } from '#schemas/hub-fields.ts'
import { allowedAddresses, brokerAddress, connectionFault } from '../queues/guarded-socket.ts'
import { messageFields } from '../queues/message-fields.ts'
import { optionalLibrary } from '../queues/optional-library.ts'
import { type QueueConnection, QueueEndpoint } from '../queues/queue-endpoint.ts'
import { repetitionId } from '../queues/repetition-id.ts'
import type { MessageOutcome } from '../queues/send-window.ts'
import { natsOutcome, storedOutcome } from './nats-outcome.ts'

export interface NatsEndpointOptions {
  readonly name: string
  readonly settings: NatsSettings
  readonly rules: OutgoingRules
}

type Library = typeof import('@nats-io/transport-node')

const portDefault = 4_222
/** A server that answers no ping for twice as long is gone. */
const pingMs = 10_000

export function openNatsEndpoint({ name, settings, rules }: NatsEndpointOptions): Endpoint {
  return new QueueEndpoint({ name, settings, open: () => openConnection(settings, rules) })
}

async function openConnection(settings: NatsSettings, rules: OutgoingRules): Promise<QueueConnection> {
  const library = await optionalLibrary('@nats-io/transport-node', () => import('@nats-io/transport-node'))
  const { jetstream } = await optionalLibrary('@nats-io/jetstream', () => import('@nats-io/jetstream'))
  const address = brokerAddress(settings.url, portDefault)
  const addresses = await allowedAddresses(address, rules)
  const connection = await connect(library, settings, addresses).catch((error: unknown) => {
    throw openingFault(error) ?? connectionFault(error, address)
  })
  const stream = jetstream(connection)
  return {
    get isOpen() {
      return !connection.isClosed()
    },
    send: (message) => send(message),
    end: () => void connection.close(),
  }

  async function send(message: SelectedMessage): Promise<MessageOutcome> {
    const subject = settings.subject.replaceAll('{deviceId}', () => subjectToken(message.deviceId))
    const headers = library.headers()
    for (const [name, value] of messageFields(message)) headers.append(headerName(name), headerValue(value))
    try {
      const options = { msgID: repetitionId(message), headers, timeout: settings.timeoutMs }
      return storedOutcome(await stream.publish(subject, message.body, options), subject)
    } catch (error) {
      return natsOutcome(error, subject, address)
    }
  }
}

/** One of the addresses, without name: that one was resolved, and judged, before. */
function connect(library: Library, settings: NatsSettings, addresses: readonly string[]): Promise<NatsConnection> {
  const { url, ca, timeoutMs } = settings
  const { hostname, port } = new URL(url)
  const servername = hostname.replace(/^\[|\]$/g, '')
  const options: ConnectionOptions & { readonly resolve: boolean } = {
    servers: addresses.map((address) => `${isIP(address) === 6 ? `[${address}]` : address}:${port || portDefault}`),
    name: 'penstock',
    timeout: Math.max(1, Math.floor(timeoutMs / addresses.length)),
    reconnect: false,
    resolve: false,
    ignoreClusterUpdates: true,
    noRandomize: true,
    pingInterval: pingMs,
    authenticator: authenticatorsOf(library, settings),
    tls: url.startsWith('tls:') ? { ...(isIP(servername) === 0 ? { servername } : {}), ...(ca ? { ca } : {}) } : null,
  }
  return library.connect(options)
}

function authenticatorsOf(library: Library, { user, password, token, credentials }: NatsSettings): Authenticator[] {
  if (credentials !== undefined) return [library.credsAuthenticator(Buffer.from(credentials))]
  if (token !== undefined) return [library.tokenAuthenticator(token)]
  if (user !== undefined) return [library.usernamePasswordAuthenticator(user, password)]
  return []
}

/** A reason not to let us in; `undefined` if the connection did not come about. */
function openingFault(error: unknown): EndpointError | undefined {
  const { name = '', message = '' } = error as Partial<Error>
  return name === 'AuthorizationError'
    ? held(`the server lets nobody in as this: ${message}`, 'Unauthorized')
    : undefined
}

/** A device's id as one token of a subject. */
export function subjectToken(deviceId: string): string {
  return deviceId.replace(/[^A-Za-z0-9_\-:=@!?()',#]/gu, percentEncoded)
}

/** Names and values have printable ASCII; names have no colon and blank, values none at their ends. */
const headerName = (name: string): string => name.replace(/[^!-9;-~]/gu, percentEncoded)
const headerValue = (value: string): string => value.replace(/[^ -~]|%|^ +| +$/gu, percentEncoded)
