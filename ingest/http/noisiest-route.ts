import type { NoisiestReport } from '#ingest/quotas/noisiest.ts'
import { type Quotas, serviceAttempts } from '#ingest/quotas/quotas.ts'
import type { AuthorizeService } from '#ingest/session/principal.ts'
import { aCount, aText, aTime, listOf, recordOf } from '#runtime/api/shapes.ts'
import { gives, type RouteTold } from '#runtime/api/told.ts'
import { assert } from '#runtime/assert.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'

/** What a service proves itself with. */
export type AuthorizationOf = (request: HttpRequest) => string

/** Gives the report of all edge processes. */
export type NoisiestOfAll = (countMax: number) => NoisiestReport | Promise<NoisiestReport>

/** Devices in one answer. */
export const noisiestCountMax = 50
const countDefault = 10

const fault = recordOf({ Message: aText })
const devices = listOf(recordOf({ deviceId: aText, amount: aCount, error: aCount }))

const noisiestTold: RouteTold = {
  summary: 'The devices that send most, over about a minute',
  query: { top: 'how many of each list' },
  answered: {
    200: gives('by messages and by bytes', recordOf({ from: aTime, to: aTime, byMessages: devices, byBytes: devices })),
    401: gives('not allowed', fault),
    429: gives('too many failures', fault),
    503: gives('not known for now', fault),
  },
  allowed: 'a policy with the right ServiceConnect; where no identities are required, this machine',
}

/**
 * `GET /api/noisiest?top=n`: the devices that sent most messages and most bytes in the last minute.
 * @param authorize `undefined`: whoever is on this machine may look
 */
export function routeNoisiest(
  router: HttpRouter,
  quotas: Quotas,
  ofAll: NoisiestOfAll,
  authorize: AuthorizeService | undefined,
  tls: boolean,
  authorizationOf: AuthorizationOf,
): void {
  router.route({
    method: 'GET',
    pattern: '/api/noisiest',
    told: noisiestTold,
    handle: async (request) => {
      try {
        await admit(request, quotas, authorize, tls, authorizationOf)
      } catch (error) {
        return refusal(error)
      }
      const asked = Number(request.query('top') ?? countDefault)
      const count = Number.isInteger(asked) && asked > 0 ? Math.min(asked, noisiestCountMax) : countDefault
      const { fromMs, toMs, byMessages, byBytes } = await ofAll(count)
      assert(fromMs <= toMs, 'a report of other processes ends behind its beginning')
      assert(
        byMessages.length <= count && byBytes.length <= count,
        'a report names no more devices than were asked for',
      )
      const from = new Date(fromMs).toISOString()
      return jsonAnswer(200, { from, to: new Date(toMs).toISOString(), byMessages, byBytes })
    },
  })
}

async function admit(
  request: HttpRequest,
  quotas: Quotas,
  authorize: AuthorizeService | undefined,
  tls: boolean,
  authorizationOf: AuthorizationOf,
): Promise<void> {
  const { remoteAddress } = request
  const local = isLoopbackAddress(remoteAddress)
  if (authorize === undefined) {
    if (!local) throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    return
  }
  try {
    await authorize(authorizationOf(request), tls || local)
  } catch (error) {
    const isFailure = isPenstockError(error, 'INGEST_NOT_AUTHORIZED')
    throw (isFailure && quotas.attemptFailed(remoteAddress, serviceAttempts)) || error
  }
}

function refusal(error: unknown): HttpAnswer {
  if (!isPenstockError(error)) throw error
  if (error.code === 'INGEST_NOT_AUTHORIZED') return jsonAnswer(401, { Message: error.message })
  const status = error.code === 'INGEST_FAILURES_EXCEEDED' ? 429 : 503
  return jsonAnswer(status, { Message: error.message }, { 'Retry-After': '5' })
}
