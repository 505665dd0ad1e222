/**
 * Registration over HTTP, as the hub's provisioning service has it.
 *
 *   PUT  /{scope}/registrations/{id}/register                 202, and Retry-After: when to ask what became of it
 *   GET  /{scope}/registrations/{id}/operations/{operation}   202 while it is under way, then 200
 *   POST /{scope}/registrations/{id}                          200: the registration that there is
 */
import type { ProvisioningAnswer } from '#control/provisioning/provisioning.ts'
import { refusedAnswer } from '#control/provisioning/provisioning-json.ts'
import type { Provisioning } from '#ingest/device-api/provisioning.ts'
import { RateExceeded } from '#ingest/quotas/quotas.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Registrant } from '#ingest/session/principal.ts'
import { sleep } from '#runtime/clock.ts'
import { type HttpAnswer, jsonTextAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpMethod, HttpRouter } from '#runtime/http/serving.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

type Ask = (who: Registrant, request: HttpRequest, body: Buffer) => Promise<ProvisioningAnswer>

export function routeProvisioning(
  router: HttpRouter,
  edge: EdgeContext,
  provisioning: Provisioning,
  tls: boolean,
): void {
  const registration = `/${provisioning.idScope}/registrations/:id`
  const add = (method: HttpMethod, pattern: string, ask: Ask): void =>
    router.route({
      method,
      pattern,
      bodyBytesMax: limits.registrationBytesMax,
      handle: async (request, body) => httpAnswer(await answerTo(edge, tls, request, body, ask)),
    })
  add('PUT', `${registration}/register`, (who, _request, body) => provisioning.register(who, body))
  add('GET', `${registration}/operations/:operation`, (who, request) =>
    provisioning.status(who, request.parameter(1) ?? ''),
  )
  add('POST', registration, (who) => provisioning.lookup(who))
}

/** Whoever fails too often waits, as with any credentials. */
async function answerTo(
  edge: EdgeContext,
  tls: boolean,
  request: HttpRequest,
  body: Buffer,
  ask: Ask,
): Promise<ProvisioningAnswer> {
  const { remoteAddress } = request
  const who = registrantOf(request)
  if (who.token !== undefined && !tls && !isLoopbackAddress(remoteAddress)) return refusedAnswer(insecure())
  if (edge.draining) return refusedAnswer(new PenstockError('INGEST_DRAINING', 'the edge is shutting down'), 1)
  const { quotas } = edge
  try {
    const waitMs = quotas.hasFailures ? quotas.lookupWaitMs(remoteAddress, who.registrationId, () => false) : 0
    if (waitMs) await sleep(edge.clock, waitMs)
  } catch (error) {
    return refusedAnswer(error, error instanceof RateExceeded ? Math.ceil(error.retryAfterMs / 1000) : undefined)
  }
  const answer = await ask(who, request, body)
  const exceeded =
    answer.status === 401 && !answer.isChallenge ? quotas.attemptFailed(remoteAddress, who.registrationId) : undefined
  return exceeded === undefined ? answer : refusedAnswer(exceeded, Math.ceil(exceeded.retryAfterMs / 1000))
}

function insecure(): PenstockError {
  return new PenstockError('INGEST_NOT_AUTHORIZED', 'tokens are taken over TLS only: use the TLS port')
}

function registrantOf(request: HttpRequest): Registrant {
  const token = request.header('authorization')
  return {
    registrationId: request.parameter(0) ?? '',
    token: token === '' ? undefined : token,
    certificates: token === '' ? request.certificates.map(({ raw }) => raw.toString('base64')) : [],
  }
}

function httpAnswer({ status, body, retryAfterSeconds }: ProvisioningAnswer): HttpAnswer {
  const retryAfter = retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) }
  return jsonTextAnswer(status, body, retryAfter)
}
