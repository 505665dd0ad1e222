import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { discardStream } from '#runtime/http/streamed-answer.ts'
import { throttled } from '#schemas/hub-faults.ts'
import { type Quotas, type RateExceeded, serviceAttempts } from './quotas.ts'

/**
 * A router whose routes count each 401 against the client's address. An address that had too many is answered 429
 * instead. All credentials are looked at, and good ones let in: that costs no more than a request that anyone may send.
 * @param addressOf whose request it is
 */
export function limitFailures(
  router: HttpRouter,
  quotas: Quotas,
  addressOf: (request: HttpRequest) => string,
): HttpRouter {
  const counted = (request: HttpRequest, answer: HttpAnswer): HttpAnswer => {
    const exceeded = answer.status === 401 ? quotas.attemptFailed(addressOf(request), serviceAttempts) : undefined
    if (exceeded === undefined) return answer
    discardStream(answer.stream)
    return refusalOf(exceeded)
  }
  const maybeCounted = (request: HttpRequest, answer: HttpAnswer | undefined) => answer && counted(request, answer)
  const handled = (request: HttpRequest, answer: HttpAnswer | Promise<HttpAnswer>) =>
    answer instanceof Promise ? answer.then((value) => counted(request, value)) : counted(request, answer)
  return {
    upgrade: (route) => router.upgrade(route),
    route: (route) => {
      const admit = (request: HttpRequest) => {
        const answer = route.admit?.(request)
        if (answer instanceof Promise) return answer.then((value) => maybeCounted(request, value))
        return maybeCounted(request, answer)
      }
      if ('handleStream' in route)
        router.route({
          ...route,
          admit,
          handleStream: (request, body) => handled(request, route.handleStream(request, body)),
        })
      else router.route({ ...route, admit, handle: (request, body) => handled(request, route.handle(request, body)) })
    },
  }
}

function refusalOf({ message, retryAfterMs }: RateExceeded): HttpAnswer {
  const headers = { 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) }
  return jsonAnswer(throttled.status, { Message: `ErrorCode:${throttled.name};${message}` }, headers)
}
