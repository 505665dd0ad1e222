/**
 * Device events, as they stand on the log topic `<prefix>.events` and in the table `penstock.device_events`. Each is an envelope
 * (`telemetry.v1.avsc`), so that batches, log, worker and sink are those of telemetry.
 *
 *   deviceId           the device
 *   enqueuedAtMs       when the process that tells of it saw it
 *   body               JSON, the same fields as text
 *   properties         event, sequence, and where there is one: reason
 *   systemProperties   moduleId, where it is a module's
 */
export type DeviceEventKind = 'created' | 'updated' | 'deleted' | 'connected' | 'disconnected'

export interface DeviceEvent {
  readonly event: DeviceEventKind
  readonly deviceId: string
  readonly moduleId: string | undefined
  /** Why a connection ended: an error code, CLOSED_BY_CLIENT, CLOSED_BY_PEER, or EDGE_LOST: the process that held it is gone. */
  readonly reason: string | undefined
}

const perMs = 1_024

/**
 * Numbers the events of one process: 16 hexadecimal digits that grow, also over its restarts, and compare as text. Of two
 * processes the later event has the larger one as far as their clocks agree.
 */
export class EventSequence {
  #last = 0

  next(nowMs: number): string {
    this.#last = Math.max(this.#last + 1, nowMs * perMs)
    return this.#last.toString(16).padStart(16, '0')
  }
}
