/** How a device speaks to its target: what differs between MQTT and AMQP. What they have in common is `device-connection.ts`. */
import type { IntendedAtMs } from './frames.ts'

/** What a dialect tells the connection that speaks it. */
export interface DialectListener {
  /** Bytes to write at once; they are not changed afterwards. */
  say(bytes: Buffer): void
  /** Messages may be sent from now on. */
  onAccepted(): void
  /** The target does not let this device in; the connection ends. */
  onRefused(fault: string): void
  /** The target broke the protocol, or ended the connection; it ends. @param fault undefined: in order */
  onEnd(fault: string | undefined): void
  /** Messages from…to−1 are settled, and all before them. */
  onSettled(from: number, to: number): void
}

/** Of one device over all its connections, one after the other. */
export interface Dialect {
  /** Of a message with all that belongs to it. */
  readonly frameBytes: number
  /** Keeps an open connection alive. */
  readonly ping: Buffer
  /** Ends one in order. */
  readonly goodbye: Buffer
  /** Messages in flight that writes are sized for; infinite at QoS 0. */
  readonly window: number
  /** Messages that may be written now. @param inFlight unsettled ones; 0 at QoS 0 */
  room(inFlight: number): number
  /** Messages that may be sent again now: they are in flight already. */
  resendRoom(): number
  /** A new connection begins. @returns what is said first */
  begin(): Buffer
  /** Writes frames as `FrameTemplate.fill` does, for this connection: what is written must be sent. */
  fill(target: Buffer, first: number, count: number, isResent: boolean, at: number | IntendedAtMs): number
  /**
   * Reads what the target sent, at 0…`end`. `chunk` is valid during the call only.
   * @returns where the first incomplete packet begins, else `end`
   */
  read(chunk: Buffer, end: number): number
}
