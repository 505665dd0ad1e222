/** What a device asks of the hub, whatever it speaks. */
import type { Session } from './session.ts'

/** A further kind is a name here, its spelling in each protocol (`ingest/mqtt/device-requests.ts`), and a handler in a capability. */
export type DeviceRequestKind = 'twinRead' | 'twinReport' | 'methodAnswer' | 'register' | 'registrationStatus'

export interface DeviceRequest {
  readonly kind: DeviceRequestKind
  /** The device's own, to be given back as it is; of a method's answer it is the call's. */
  readonly requestId: string
  /** Of a method's answer; else 0. */
  readonly status: number
  /** The version that a report builds on; `undefined`: any. */
  readonly version: number | undefined
  /** Of a registration whose status is asked for. */
  readonly operationId?: string | undefined
  /** Its own: it may be kept. */
  readonly body: Buffer
}

export interface DeviceAnswer {
  /** As in HTTP. Clients for Node look at `errorCode` of a JSON body only. */
  readonly status: number
  readonly version?: number
  /** Of registrations: when to come back. */
  readonly retryAfterSeconds?: number | undefined
  /** Empty if left out. */
  readonly body?: Uint8Array
}

/**
 * Requests of one session are handed over in the order in which they came, each before the next. `undefined`: there is no answer, as to
 * an answer. A promise that rejects is answered 500, and logged.
 */
export type HandleDeviceRequest = (
  session: Session,
  request: DeviceRequest,
) => DeviceAnswer | undefined | Promise<DeviceAnswer | undefined>
