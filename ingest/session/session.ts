import type { PenstockError } from '#schemas/errors.ts'

/** What a session lives on: a connection of MQTT. Where the two end together, ending it ends the session. */
export interface Carrier {
  /** Since anything was heard of it. */
  readonly silentMs: number
  /** Ends it with this reason, which is told to the client as its protocol allows. */
  fail(error: PenstockError): void
}

/**
 * A device or module while it is connected, as the rest of the edge sees it: who it is, since when, and how to end it. How its bytes
 * arrive is its carrier's business.
 *
 * It only sends so far. Whatever shall go to the device will go through one method here, `send(delivery)`, so that no capability needs
 * to know a protocol: it resolves with what became of the delivery, which the carrier alone can tell.
 */
export interface Session {
  /** `undefined`: a client without an id that has not sent a message yet. */
  readonly deviceId: string | undefined
  readonly moduleId: string | undefined
  /** When it began, by the monotonic clock, which the machine's processes share. */
  readonly openedAtMs: number
  readonly carrier: Carrier
  /** A newer connection of the same device or module, here or at another edge process, ends this one [MQTT-3.1.4-2]. */
  takenOver(): void
}
