/** What every request of a device has in common: who it says it is, and whether that is proven. */
import type { X509Certificate } from 'node:crypto'
import { classicAnswer } from '#control/rest/rest.ts'
import { RateExceeded } from '#ingest/quotas/quotas.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { sleep } from '#runtime/clock.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { type IdentityId, isIdentityId } from '#schemas/identity-id.ts'
import { credentialOf, withChallenge } from './credential.ts'

/**
 * Decides whether a request may act as this device.
 * @param certificates what the client showed in the TLS handshake; the same array for all requests of a connection
 * @throws PenstockError AUTH_DIRECTORY_UNAVAILABLE, INGEST_NOT_AUTHORIZED; to whoever holds the device's key: AUTH_TOKEN_EXPIRED,
 *   AUTH_IDENTITY_DISABLED
 */
export type AuthorizeRequest = (
  deviceId: string,
  moduleId: string | undefined,
  authorization: string,
  confidential: boolean,
  certificates: readonly X509Certificate[],
) => void | Promise<void>

/**
 * Runs before any of the body is kept: a client that can prove nothing costs no memory [G-4]. HOT: per request. It
 * waits only for a look-up and, where credentials fail, for its turn.
 * @param authorize `undefined`: every device is believed
 * @param authorization what proves it, besides a certificate; by default the secret that the header of this name holds
 * @throws what `authorize` throws, INGEST_FAILURES_EXCEEDED
 */
export function admitDevice(
  edge: EdgeContext,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
  { deviceId, moduleId }: IdentityId,
  request: HttpRequest,
  authorization?: string,
): undefined | Promise<undefined> {
  if (authorize === undefined) return undefined
  const { remoteAddress } = request
  const confidential = tls || isLoopbackAddress(remoteAddress)
  const secret = authorization ?? credentialOf(request.header('authorization')).secret
  // Who shows nothing guesses nothing, and nothing is looked up for it: it is asked for its credentials, for which many clients wait.
  const isAttempt = secret !== '' || request.certificates.length > 0
  const refused = (error: unknown): never => {
    const isFailure = isAttempt && isPenstockError(error) && error.code !== 'AUTH_DIRECTORY_UNAVAILABLE'
    throw (isFailure && edge.quotas.attemptFailed(remoteAddress, deviceId)) || error
  }
  const decide = (): undefined | Promise<undefined> => {
    try {
      const authorized = authorize(deviceId, moduleId, secret, confidential, request.certificates)
      return authorized?.then(() => undefined, refused)
    } catch (error) {
      return refused(error)
    }
  }
  const looksUp = isAttempt && edge.quotas.hasFailures
  const waitMs = looksUp ? edge.quotas.lookupWaitMs(remoteAddress, deviceId, edge.isKnown) : 0
  return waitMs ? sleep(edge.clock, waitMs).then(decide) : decide()
}

/** Whom the first parameters of the path name. @throws INGEST_BODY_MALFORMED */
export function deviceOf(request: HttpRequest, hasModule: boolean): IdentityId {
  return { deviceId: idOf(request.parameter(0)), moduleId: hasModule ? idOf(request.parameter(1)) : undefined }
}

function idOf(text: string | undefined): string {
  if (text !== undefined && isIdentityId(text)) return text
  throw new PenstockError('INGEST_BODY_MALFORMED', 'the path names no device')
}

/** A fault of a device's request, as the hub tells it. */
export function deviceFaultAnswer(error: unknown): HttpAnswer {
  if (!isPenstockError(error)) throw error
  const retryAfterSeconds = error instanceof RateExceeded ? Math.ceil(error.retryAfterMs / 1000) : undefined
  return withChallenge(classicAnswer(hubFaultOf(error), error.message, retryAfterSeconds))
}
