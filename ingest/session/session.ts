import type { PenstockError } from '#schemas/errors.ts'
import type { Delivery, Feed, Outcome } from './delivery.ts'
import type { Registrant } from './principal.ts'

/** What a session lives on: a connection of MQTT, or its seat on one of AMQP. Ending it ends the session. */
export interface Carrier {
  /** For metrics. */
  readonly protocol: 'mqtt' | 'amqp'
  /** Since anything was heard of it. */
  readonly silentMs: number
  /** Ends it with this reason, which is told to the client as its protocol allows. */
  fail(error: PenstockError): void
  /** As `Session.send`, of a feed that the session listens to. */
  send(delivery: Delivery): Promise<Outcome>
}

/**
 * A device or module while it is connected, as the rest of the edge sees it: who it is, since when, what it listens to, how to send to it
 * and how to end it. How bytes travel is its carrier's business, so no capability knows a protocol. What happens to sessions is told to
 * capabilities (`capabilities.ts`).
 */
export interface Session {
  /** `undefined`: a client without an id that has not sent a message yet. */
  readonly deviceId: string | undefined
  readonly moduleId: string | undefined
  /** Set: it is no device, and only registers. */
  readonly registrant?: Registrant | undefined
  /** When it began, by the monotonic clock, which the machine's processes share. */
  readonly openedAtMs: number
  readonly carrier: Carrier
  /** True from its subscription on, also if that was kept from an earlier connection. */
  listensTo(feed: Feed): boolean
  /**
   * Sends to the device. Deliveries of one feed leave in the order of the calls. Resolves once: when it is known what became of it, at the
   * latest when the connection ends. Never rejects. What may wait is bounded (`limits.deliveriesWaitingMax`); beyond it the outcome is
   * `full` at once.
   */
  send(delivery: Delivery): Promise<Outcome>
  /** A newer connection of the same device or module, here or at another edge process, ends this one [MQTT-3.1.4-2]. */
  takenOver(): void
}
