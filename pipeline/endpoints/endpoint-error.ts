import { assert } from '#runtime/assert.ts'
import type { EndpointFailure } from '#schemas/endpoint-health.ts'
import { PenstockError } from '#schemas/errors.ts'

export type EndpointErrorCode = 'ENDPOINT_UNAVAILABLE' | 'ENDPOINT_REFUSED' | 'ENDPOINT_HELD'

export interface EndpointErrorOptions {
  readonly failure: EndpointFailure
  /** Not to come back sooner, as the destination asked (`Retry-After`); more than `limits.endpointRetryAfterMsMax` counts as that. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/** What a destination answered, or did not. Its text goes to health, logs and letters, so it holds no secret and no message. */
export class EndpointError extends PenstockError {
  readonly failure: EndpointFailure
  readonly retryAfterMs: number | undefined

  constructor(code: EndpointErrorCode, message: string, { failure, retryAfterMs, cause }: EndpointErrorOptions) {
    const isPause = retryAfterMs === undefined || retryAfterMs >= 0
    assert(isPause, `an endpoint asks to be left alone for some time, not for ${retryAfterMs} ms`)
    super(code, message, cause === undefined ? undefined : { cause })
    this.failure = failure
    this.retryAfterMs = retryAfterMs
  }
}

/** Outcome unknown, or not taken this time: the same again. */
export function unavailable(message: string, failure: EndpointFailure, retryAfterMs?: number): EndpointError {
  return new EndpointError('ENDPOINT_UNAVAILABLE', message, { failure, retryAfterMs })
}

/** Refused for what it holds. */
export function refused(message: string, failure: EndpointFailure = 'InvalidMessage'): EndpointError {
  return new EndpointError('ENDPOINT_REFUSED', message, { failure })
}

/** Nothing is taken from us at present. */
export function held(message: string, failure: EndpointFailure): EndpointError {
  return new EndpointError('ENDPOINT_HELD', message, { failure })
}
