/**
 * Device events, as they stand on the log topic `<prefix>.events` and in the table `penstock.device_events`. Each is an envelope
 * (`telemetry.v1.avsc`), so that batches, log, worker and sink are those of telemetry.
 *
 *   deviceId           the device
 *   enqueuedAtMs       when the process that reports it saw it
 *   body               JSON, the same fields as text
 *   properties         event, sequence, reason and modelId if there are any, and details of their kind of event
 *   systemProperties   moduleId if it is an event of a module
 */
export type DeviceEventKind =
  | 'created'
  | 'updated'
  | 'deleted'
  | 'connected'
  | 'disconnected'
  /** Of a command whose sender asked for feedback. Details: messageId, generationId, at */
  | 'commandEnded'
  /** Details: blobName, bytes, at */
  | 'fileUploaded'

export interface DeviceEvent {
  readonly event: DeviceEventKind
  readonly deviceId: string
  readonly moduleId: string | undefined
  /**
   * Why a connection ended: an error code, CLOSED_BY_CLIENT, CLOSED_BY_PEER, or EDGE_LOST: the process that held it is gone. How a command
   * ended: the status of its feedback.
   */
  readonly reason: string | undefined
  /** Of the model that it announced when it connected; left out of what is no connection. */
  readonly modelId?: string | undefined
  readonly details?: Readonly<Record<string, string>>
}

const perMs = 1_024

/**
 * Numbers the events of one process: 16 hexadecimal digits that compare as text and grow, also over restarts of the process. Of two
 * processes the later event has the larger number, as far as their clocks agree.
 */
export class EventSequence {
  #last = 0

  next(nowMs: number): string {
    this.#last = Math.max(this.#last + 1, nowMs * perMs)
    return this.#last.toString(16).padStart(16, '0')
  }
}
