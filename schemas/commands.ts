/** Cloud-to-device messages, called commands here, as they cross from their senders over the control store to the edge. */
import type { IdentityId } from './identity-id.ts'

/** For which ends of a command its sender wants a feedback record. */
export const ackRequests = ['none', 'positive', 'negative', 'full'] as const
export type AckRequest = (typeof ackRequests)[number]

/** What a sender says about a command. */
export interface CommandContent {
  /** By key of the hub's property bag without its `$.`: see `commandSystemProperties`. */
  readonly systemProperties: ReadonlyMap<string, string>
  readonly applicationProperties: ReadonlyMap<string, string>
  readonly body: Uint8Array
  readonly ack: AckRequest
}

/** A command that was taken for delivery: locked, so that nobody else delivers it meanwhile. */
export interface TakenCommand extends CommandContent, IdentityId {
  readonly lockToken: string
  /** Grows within a queue. */
  readonly sequenceNumber: number
  readonly enqueuedAtMs: number
  readonly expiresAtMs: number
  /** Deliveries before this one that nobody settled. */
  readonly deliveries: number
}

/**
 * System properties by their key in the property bag, in the order in which they are written, with their headers over HTTP (wire
 * reference of the hub). `to` is the hub's own to say.
 */
export const commandSystemProperties = {
  mid: 'iothub-messageid',
  to: 'iothub-to',
  cid: 'iothub-correlationid',
  uid: 'iothub-userid',
  ct: 'iothub-contenttype',
  ce: 'iothub-contentencoding',
  exp: 'iothub-expiry',
} as const

/** In the property bag and as header of HTTP. */
export const ackProperty = 'iothub-ack'

/**
 *   complete   the device has it
 *   reject     the device does not want it: a dead letter
 *   abandon    it was not delivered, as far as anybody knows: back to its place in the queue, and counted. Once too often: a dead letter
 *   release    as abandon, but the device had no part in it, so it is not counted
 */
export const settlementKinds = ['complete', 'reject', 'abandon', 'release'] as const
export type SettlementKind = (typeof settlementKinds)[number]

/** How commands end: `Success`, or a dead letter. Words as feedback of the hub has them. */
export const commandEnds = ['Success', 'Expired', 'DeliveryCountExceeded', 'Rejected', 'Purged'] as const
export type CommandEnd = (typeof commandEnds)[number]

/** Why a command is a dead letter. */
export const deadCommandReasons = ['Expired', 'DeliveryCountExceeded', 'Rejected', 'Purged', 'DeviceDeleted'] as const
export type DeadCommandReason = (typeof deadCommandReasons)[number]
