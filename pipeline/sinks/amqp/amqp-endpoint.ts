/**
 * Messages for a queue, a topic or an event hub over AMQP 1.0, by one link; the broker's disposition of each says what became of it.
 *
 *   accepted                        delivered
 *   released, modified              the same again, unless it is not to be delivered here at all
 *   rejected                        by its condition: refused for what it holds, held, or the same again
 */
import type { Connection, Delivery, EventContext, Sender } from 'rhea'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { type EndpointError, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { AmqpSettings } from '#schemas/endpoint-kinds/amqp.ts'
import {
  assertAllowed,
  type BrokerAddress,
  brokerAddress,
  connectionFault,
  guardedSocket,
} from '../queues/guarded-socket.ts'
import { optionalLibrary } from '../queues/optional-library.ts'
import { type QueueConnection, QueueEndpoint } from '../queues/queue-endpoint.ts'
import type { MessageOutcome } from '../queues/send-window.ts'
import { UnderWay } from '../queues/under-way.ts'
import { amqpMessage } from './amqp-message.ts'
import { type AmqpCondition, conditionOutcome } from './amqp-outcome.ts'

export interface AmqpEndpointOptions {
  readonly name: string
  readonly settings: AmqpSettings
  readonly rules: OutgoingRules
}

type Library = typeof import('rhea')

/** The library keeps at most 2,048 deliveries that are not settled, and throws at the next. */
const deliveriesMax = 1_024
/** A broker that sends nothing for so long is gone; it is asked to say something twice as often. */
const idleMs = 20_000

export function openAmqpEndpoint({ name, settings, rules }: AmqpEndpointOptions): Endpoint {
  return new QueueEndpoint({ name, settings, open: () => openConnection(settings, rules) })
}

async function openConnection(settings: AmqpSettings, rules: OutgoingRules): Promise<QueueConnection> {
  const { default: library } = await optionalLibrary('rhea', () => import('rhea'))
  const address = brokerAddress(settings.url, settings.url.startsWith('amqps:') ? 5_671 : 5_672)
  assertAllowed(address, rules)
  const link = new AmqpLink(library, settings, address, rules)
  try {
    await link.opened(settings.timeoutMs)
  } catch (error) {
    link.end()
    throw error
  }
  return link
}

class AmqpLink implements QueueConnection {
  readonly #library: Library
  readonly #connection: Connection
  readonly #sender: Sender
  readonly #underWay = new UnderWay(deliveriesMax)
  readonly #unsettled = new Map<Delivery, (outcome: MessageOutcome) => void>()
  readonly #lost: Promise<EndpointError>
  #lose: (error: EndpointError) => void = () => {}

  constructor(library: Library, settings: AmqpSettings, address: BrokerAddress, rules: OutgoingRules) {
    this.#library = library
    this.#lost = new Promise((resolve) => {
      this.#lose = resolve
    })
    void this.#lost.then((error) => {
      this.#underWay.lose(error)
      this.#connection.socket?.destroy()
    })
    const connection = library.create_container({ id: 'penstock' }).connect({
      host: address.host,
      port: address.port,
      hostname: address.host,
      connect: socketOpener(settings, address, rules),
      reconnect: false,
      idle_time_out: idleMs,
      // With neither, the broker is asked to let anybody in.
      username: settings.user ?? 'anonymous',
      ...(settings.password === undefined ? {} : { password: settings.password }),
    } as Parameters<Library['connect']>[0])
    this.#connection = connection
    const told = (error: object | undefined): void =>
      this.#lose(conditionOutcome((error ?? {}) as AmqpCondition, 'retry').error)
    connection.on('connection_error', ({ error, connection: { error: other } }: EventContext) => told(error ?? other))
    connection.on('connection_close', ({ connection: { error } }: EventContext) => told(error))
    connection.on('session_error', ({ session }: EventContext) => told(session?.error))
    connection.on('session_close', ({ session }: EventContext) => told(session?.error))
    connection.on('protocol_error', (error: unknown) => this.#lose(connectionFault(error, address)))
    connection.on('disconnected', ({ error }: EventContext) => this.#lose(connectionFault(error, address)))
    this.#sender = connection.open_sender({ target: { address: settings.queue } })
    this.#sender.on('sender_error', ({ sender }: EventContext) => told(sender?.error))
    this.#sender.on('sender_close', ({ sender }: EventContext) => told(sender?.error))
    this.#sender.on('accepted', ({ delivery }: EventContext) => this.#settle(delivery, { kind: 'delivered' }))
    this.#sender.on('rejected', ({ delivery }: EventContext) =>
      this.#settle(delivery, conditionOutcome(delivery?.remote_state?.error ?? {}, 'refused')),
    )
    // The library dispatches a modified one as released too.
    this.#sender.on('released', ({ delivery }: EventContext) => this.#settle(delivery, givenBack(delivery)))
  }

  get isOpen(): boolean {
    return !this.#underWay.isLost
  }

  /** Waits for the first credit, which a link that the broker refuses never gets. @throws EndpointError */
  async opened(timeoutMs: number): Promise<void> {
    const open = new Promise<void>((resolve) => this.#sender.once('sendable', () => resolve()))
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<EndpointError>((resolve) => {
      const text = `the broker gave no link with credit within ${timeoutMs} ms`
      timer = setTimeout(() => resolve(unavailable(text, 'Timeout')), timeoutMs)
    })
    const fault = await Promise.race([open, this.#lost, late])
    clearTimeout(timer)
    if (fault !== undefined) throw fault
  }

  send(selected: SelectedMessage): Promise<MessageOutcome> {
    const payload = this.#library.message.encode(amqpMessage(this.#library, selected)) as Buffer
    const bytesMax = Number(this.#sender.max_message_size ?? 0)
    if (bytesMax > 0 && payload.length > bytesMax) {
      const error = refused(`the broker takes messages of at most ${bytesMax} bytes`, 'MaxMessageSizeExceeded')
      return Promise.resolve({ kind: 'refused', error })
    }
    // The library sends it once there is credit for it; what has none when the time is over goes with the connection.
    return this.#underWay.send((answer) => this.#unsettled.set(this.#sender.send(payload, undefined, 0), answer))
  }

  end(): void {
    this.#lose(unavailable('the connection was ended', 'Transient'))
  }

  #settle(delivery: Delivery | undefined, outcome: MessageOutcome): void {
    if (delivery === undefined) return
    this.#unsettled.get(delivery)?.(outcome)
    this.#unsettled.delete(delivery)
  }
}

function givenBack(delivery: Delivery | undefined): MessageOutcome {
  if (delivery?.remote_state?.undeliverable_here === true)
    return { kind: 'refused', error: refused('the broker does not deliver it here') }
  return { kind: 'retry', error: unavailable('the broker gave the message back', 'InternalError') }
}

/** As the library calls it. */
function socketOpener({ url, ca }: AmqpSettings, address: BrokerAddress, rules: OutgoingRules) {
  const isSecured = url.startsWith('amqps:')
  return (_port: number, _host: string, _options: unknown, connected: () => void) =>
    guardedSocket(address, rules, isSecured ? { ca } : undefined).once(
      isSecured ? 'secureConnect' : 'connect',
      connected,
    )
}
