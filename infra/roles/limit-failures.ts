import { type Quotas, RateExceeded, serviceAttempts } from '#ingest/quotas/quotas.ts'
import type { HttpRouter } from '#runtime/http.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http-answer.ts'
import type { HttpRequest } from '#runtime/http-request.ts'

/**
 * A router whose routes count each 401 against the client's address, and keep off whoever had too many before credentials are
 * looked at.
 * @param addressOf whose request it is
 */
export function limitFailures(
  router: HttpRouter,
  quotas: Quotas,
  addressOf: (request: HttpRequest) => string,
): HttpRouter {
  const counted = <T extends HttpAnswer | undefined>(request: HttpRequest, answer: T): T => {
    if (answer?.status === 401) quotas.attemptFailed(addressOf(request), serviceAttempts)
    return answer
  }
  return {
    app: router.app,
    callers: router.callers,
    route: (route) =>
      router.route({
        ...route,
        admit: (request) => refusalOf(quotas, addressOf(request)) ?? counted(request, route.admit?.(request)),
        handle: (request, body) => {
          const answer = route.handle(request, body)
          return answer instanceof Promise ? answer.then((value) => counted(request, value)) : counted(request, answer)
        },
      }),
  }
}

function refusalOf(quotas: Quotas, address: string): HttpAnswer | undefined {
  try {
    quotas.admitAttempt(address, serviceAttempts)
    return undefined
  } catch (error) {
    if (!(error instanceof RateExceeded)) throw error
    const headers = { 'Retry-After': String(Math.ceil(error.retryAfterMs / 1000)) }
    return jsonAnswer(429, { Message: `ErrorCode:ThrottlingException;${error.message}` }, headers)
  }
}
