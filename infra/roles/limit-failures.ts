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
  const counted = <T extends HttpAnswer | undefined>(request: HttpRequest, answer: T | Promise<T>): T | Promise<T> => {
    if (answer instanceof Promise) return answer.then((value) => counted(request, value))
    if (answer?.status === 401) quotas.attemptFailed(addressOf(request), serviceAttempts)
    return answer
  }
  return {
    upgrade: (route) => router.upgrade(route),
    route: (route) =>
      router.route({
        ...route,
        admit: (request) => refusalOf(quotas, addressOf(request)) ?? counted(request, route.admit?.(request)),
        handle: (request, body) => counted(request, route.handle(request, body)),
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
