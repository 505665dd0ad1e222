/** How an endpoint does, in the hub's own names (`routingEndpointsHealth` of its management API). */

/**
 *   unknown    nothing was sent yet
 *   healthy    the last attempt was taken
 *   degraded   attempts fail since less than `limits.endpointUnhealthyMsMin`
 *   unhealthy  they fail for longer, or the endpoint takes nothing from us at all: a key, a right, a table is missing
 *   dead       they fail for `limits.endpointDeadMsMin`: one attempt a minute from then on. Nothing is dropped
 */
export const endpointStatuses = ['unknown', 'healthy', 'degraded', 'unhealthy', 'dead'] as const

export type EndpointStatus = (typeof endpointStatuses)[number]

/** Why an attempt failed, as the hub calls it. */
export const endpointFailures = [
  'Transient',
  'InternalError',
  'Unauthorized',
  'Throttled',
  'Timeout',
  'MaxMessageSizeExceeded',
  'NotFound',
  'InvalidMessage',
] as const

export type EndpointFailure = (typeof endpointFailures)[number]

export interface EndpointHealth {
  readonly endpointId: string
  readonly healthStatus: EndpointStatus
  /** For people; never a secret. */
  readonly lastKnownError: string | undefined
  /** These three are UTC milliseconds. */
  readonly lastKnownErrorAtMs: number | undefined
  readonly lastSuccessfulSendAttemptAtMs: number | undefined
  readonly lastSendAttemptAtMs: number | undefined
}
