import type { Notice } from '#schemas/downlink.ts'
import type { Feed } from './delivery.ts'
import type { DeviceRequestKind, HandleDeviceRequest } from './device-request.ts'
import type { Session } from './session.ts'

/**
 * What devices can do beyond sending telemetry, as the edge knows it: it is told what happens to sessions, and answers their requests.
 * None of its methods may throw. Each but `requests` is called at once, within the event that it tells of.
 */
export interface Capability {
  /** The device began to listen, or says again that it does. Of a kept session it is called after each new connection. */
  onSubscribed?(session: Session, feed: Feed): void
  onUnsubscribed?(session: Session, feed: Feed): void
  /** The connection ended, and what was sent and not settled is being settled. */
  onEnded?(session: Session): void
  /** Control says that there is something for the device. */
  onNotice?(session: Session, notice: Notice): void
  readonly requests?: Partial<Record<DeviceRequestKind, HandleDeviceRequest>>
}

/** All capabilities of an edge process. */
export class Capabilities {
  readonly #all: Capability[] = []
  readonly #requests: Partial<Record<DeviceRequestKind, HandleDeviceRequest>> = {}

  /** At the start. Of two that answer one kind of request the later one does. */
  add(capability: Capability): void {
    this.#all.push(capability)
    Object.assign(this.#requests, capability.requests)
  }

  handlerOf(kind: DeviceRequestKind): HandleDeviceRequest | undefined {
    return this.#requests[kind]
  }

  subscribed(session: Session, feed: Feed): void {
    for (const capability of this.#all) capability.onSubscribed?.(session, feed)
  }

  unsubscribed(session: Session, feed: Feed): void {
    for (const capability of this.#all) capability.onUnsubscribed?.(session, feed)
  }

  ended(session: Session): void {
    for (const capability of this.#all) capability.onEnded?.(session)
  }

  notice(session: Session, notice: Notice): void {
    for (const capability of this.#all) capability.onNotice?.(session, notice)
  }
}
