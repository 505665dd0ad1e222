/** What is sent to a device, whatever it speaks, and what becomes of it. */

/** What a device can listen to. Each protocol has its own names for them. */
export const feeds = ['commands', 'methods', 'twinAnswers', 'desired', 'registration'] as const
export type Feed = (typeof feeds)[number]

export type Delivery = CommandDelivery | MethodDelivery | TwinAnswerDelivery | DesiredDelivery | RegistrationDelivery

/** A cloud-to-device message. It is acknowledged by devices that listen with QoS 1. */
export interface CommandDelivery {
  readonly feed: 'commands'
  /** Names as in the property bag of the hub, without the sign for system properties: `mid`, `cid`, `ct`. In the order to be written. */
  readonly systemProperties: ReadonlyMap<string, string>
  readonly applicationProperties: ReadonlyMap<string, string>
  readonly body: Uint8Array
  /** The device may have had it before, and did not acknowledge it. */
  readonly isRepeated: boolean
}

/** A direct method. Never acknowledged: its answer says that it came. */
export interface MethodDelivery {
  readonly feed: 'methods'
  readonly name: string
  readonly requestId: string
  readonly body: Uint8Array
}

/** What became of a request of the device (`device-request.ts`). */
export interface TwinAnswerDelivery {
  readonly feed: 'twinAnswers'
  readonly requestId: string
  /** As in HTTP. */
  readonly status: number
  /** `undefined`: none is told. */
  readonly version: number | undefined
  readonly body: Uint8Array
}

/** What the provisioning service answers whoever registers. */
export interface RegistrationDelivery {
  readonly feed: 'registration'
  readonly requestId: string
  /** As in HTTP. */
  readonly status: number
  readonly retryAfterSeconds: number | undefined
  readonly body: Uint8Array
}

/** A change of desired properties. */
export interface DesiredDelivery {
  readonly feed: 'desired'
  readonly version: number
  readonly body: Uint8Array
}

/**
 *   acknowledged   the device has it
 *   sent           it is written, and nobody will say whether it came: the device listens with QoS 0, or the feed has no acknowledgements
 *   rejected       the device has it, and says that it does not want it (MQTT 5.0, AMQP)
 *   abandoned      the device has it, and gives it back to be delivered again (AMQP)
 *   lost           the connection ended before the device acknowledged it: it may have it
 *
 *   notSubscribed  the device does not listen to this feed              these four: nothing was written
 *   tooLarge       the device takes no packet of this length
 *   full           too much waits already, or the device does not read
 *   gone           the connection ended first
 */
export type Outcome =
  | 'acknowledged'
  | 'sent'
  | 'rejected'
  | 'abandoned'
  | 'lost'
  | 'notSubscribed'
  | 'tooLarge'
  | 'full'
  | 'gone'
