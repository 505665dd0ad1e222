/**
 * What every route of a service API has in common:
 *
 *   gate (policy, right, scope) ─▶ body ─▶ run ─▶ answer or fault in the hub's form ─▶ metric, audit
 */

import type { Shape } from '#runtime/api/shapes.ts'
import { assert } from '#runtime/assert.ts'
import { CallRate } from '#runtime/call-rate.ts'
import type { Clock } from '#runtime/clock.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpMethod, HttpRouter } from '#runtime/http/serving.ts'
import type { Logger } from '#runtime/logger.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { type ErrorCode, isPenstockError, PenstockError } from '#schemas/errors.ts'
import { hubFaultOf, throttled } from '#schemas/hub-faults.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { AuditSink } from './audited.ts'
import { classicAnswer, clientAddressOf, faultAnswer, numberedFaultAnswer } from './rest.ts'
import { ownerPolicyName, type Right } from './rights.ts'
import { type OperationTold, toldOf } from './told.ts'

/** Decides who may call. */
export interface Gate {
  /**
   * @param authorization the header
   * @param resource path segments the caller's token must cover
   * @param confidential TLS, or the peer is this machine: token and answer cannot be read on the way
   */
  admit(authorization: string, right: Right, resource: readonly string[], confidential: boolean): Caller | RefusedCaller
  /** What a refused caller may be told. */
  publicReason(refused: RefusedCaller): string
}

interface Caller {
  readonly policy: { readonly name: string }
}

interface RefusedCaller {
  readonly admitted: false
  readonly code: ErrorCode
  /** For logs only. */
  readonly reason: string
}

export interface OperationOptions {
  readonly gate: Gate
  readonly metrics: Metrics<MetricName>
  /** Area `audit`: one line a change at info, a refusal at warn, a read at debug. */
  readonly audit: Logger
  /** Gets all of these but reads and uses. */
  readonly recorder: AuditSink
  readonly logger: Logger
  readonly clock: Clock
  /** The server speaks TLS. */
  readonly tls: boolean
}

/**
 * What the audit calls a request that was let in. `used`: what services do all the time, such as calling methods, which is no change of
 * what is kept here. `revealed`: a read that shows keys which give rights to services.
 */
type Audited = 'changed' | 'revealed' | 'read' | 'used'

/** One route of a service API. */
export interface Operation {
  readonly method: HttpMethod
  readonly pattern: string
  /** For the document about the API. */
  readonly told: OperationTold
  /** Or any of several. */
  readonly right: Right | readonly Right[]
  /** For the policy iothubowner alone, whatever rights another may have. */
  readonly ownerOnly?: boolean
  /** Faults are told in the newer of the hub's two forms, as clients expect them of methods and twins. */
  readonly faultsNumbered?: boolean
  /** Left out: GET is `read`, and any other method `changed`. */
  readonly audited?: Audited | ((request: HttpRequest) => Audited)
  /** Faults are told in a form of its own. */
  readonly faultAnswer?: (error: unknown) => HttpAnswer
  /** Of their body, for the document. */
  readonly faultShape?: Shape
  /** How often a policy may ask for it; 0 or left out: as often as it likes. */
  readonly callsPerMinute?: number
  /** Reads a body up to this size. */
  readonly bodyBytesMax?: number
  readonly run: (request: HttpRequest, body: Uint8Array) => Promise<HttpAnswer>
}

const warningHeader = 'Warning'

/** The answer with a warning for its caller and for the audit log (RFC 7234 section 5.5). */
export function withWarning(answer: HttpAnswer, warning: string | undefined): HttpAnswer {
  if (warning === undefined) return answer
  return { ...answer, headers: { ...answer.headers, [warningHeader]: `299 penstock "${warning}"` } }
}

/** Adds a route that asks for a right, answers faults as the hub does, counts itself and leaves a line in the audit log. */
export function registerOperation(router: HttpRouter, options: OperationOptions, operation: Operation): void {
  const { method, pattern, right, bodyBytesMax } = operation
  const answerTo = operation.faultAnswer ?? (operation.faultsNumbered ? numberedFaultAnswer : faultAnswer)
  // Whose token it was, between `admit` and `handle` of one request.
  const callers = new WeakMap<HttpRequest, string>()
  const rate = operation.callsPerMinute ? new CallRate(operation.callsPerMinute, options.clock) : undefined
  const finish = (request: HttpRequest, result: HttpAnswer, fault?: unknown): HttpAnswer => {
    audit(options, operation, request, callers.get(request), result, fault)
    options.metrics
      .series('penstock_registry_requests_total', { method, route: pattern, status: String(result.status) })
      .add(1)
    return result
  }
  const failed = (request: HttpRequest, error: unknown): HttpAnswer => {
    if (hubFaultOf(error).status === 500) options.logger.error('a registry request failed', { pattern, error })
    return finish(request, answerTo(error), error)
  }
  router.route({
    method,
    pattern,
    told: toldOf(operation),
    bodyBytesMax,
    tooLargeAnswer: answerTo(
      new PenstockError('REGISTRY_BODY_TOO_LARGE', `a body holds at most ${bodyBytesMax} bytes`),
    ),
    admit(request) {
      const confidential = options.tls || isLoopbackAddress(request.remoteAddress)
      // The hub's management clients know bearer tokens only.
      const authorization = request.header('authorization').replace(/^Bearer (?=SharedAccessSignature )/i, '')
      const caller = forOwnerOnly(
        operation,
        admitted(options.gate, authorization, right, resourceOf(request), confidential),
      )
      if ('policy' in caller) {
        callers.set(request, caller.policy.name)
        return undefined
      }
      const fault = new PenstockError(caller.code, options.gate.publicReason(caller))
      return finish(request, (operation.faultAnswer ?? faultAnswer)(fault), caller.reason)
    },
    async handle(request, body) {
      const policy = callers.get(request) ?? ''
      const waitMs = rate?.take(policy) ?? 0
      if (waitMs > 0) return finish(request, tooOften(policy, operation, waitMs), 'asked too often')
      try {
        return finish(request, await operation.run(request, body))
      } catch (error) {
        return failed(request, error)
      }
    },
  })
}

function tooOften(policy: string, { callsPerMinute, method, pattern }: Operation, waitMs: number): HttpAnswer {
  const text = `the policy ${policy} may ask ${method} ${pattern} ${callsPerMinute} times a minute`
  return classicAnswer(throttled, text, Math.ceil(waitMs / 1_000))
}

function admitted(
  gate: Gate,
  authorization: string,
  right: Operation['right'],
  resource: readonly string[],
  confidential: boolean,
): Caller | RefusedCaller {
  const [first, ...others] = typeof right === 'string' ? [right] : right
  assert(first !== undefined, 'an operation asks for a right')
  let caller = gate.admit(authorization, first, resource, confidential)
  for (const other of others) {
    if (!('code' in caller) || caller.code !== 'AUTH_RIGHT_MISSING') break
    caller = gate.admit(authorization, other, resource, confidential)
  }
  return caller
}

function forOwnerOnly({ ownerOnly }: Operation, caller: Caller | RefusedCaller): Caller | RefusedCaller {
  if (!ownerOnly || !('policy' in caller) || caller.policy.name === ownerPolicyName) return caller
  return { admitted: false, code: 'AUTH_RIGHT_MISSING', reason: `policy ${caller.policy.name} is not the owner's` }
}

/** The path's segments, decoded: what a token's scope must cover. A path that cannot be decoded is covered by whole-hub tokens only. */
function resourceOf(request: HttpRequest): string[] {
  return request.path
    .split('/')
    .filter((segment) => segment !== '')
    .map((segment) => {
      try {
        return decodeURIComponent(segment)
      } catch {
        return '\0'
      }
    })
}

function audit(
  { audit: log, recorder, clock }: OperationOptions,
  { method, audited = method === 'GET' ? 'read' : 'changed' }: Operation,
  request: HttpRequest,
  policy: string | undefined,
  { status, headers }: HttpAnswer,
  fault: unknown,
): void {
  const from = clientAddressOf(request)
  const warning = headers?.[warningHeader]
  const why = isPenstockError(fault) ? fault.code : typeof fault === 'string' ? fault : undefined
  const fields = { operation: `${method} ${request.path}`, policy, status, from, warning, fault: why }
  const kind = status === 401 ? 'refused' : typeof audited === 'function' ? audited(request) : audited
  if (kind === 'refused') log.warn(kind, fields)
  else if (kind === 'changed' || kind === 'revealed') log.info(kind, fields)
  else log.debug(kind, fields)
  if (kind === 'read' || kind === 'used') return
  const path = request.path.slice(0, limits.auditPathLengthMax)
  recorder.add({ atMs: clock.nowMs(), kind, method, path, policy, from, status, fault: why, warning, count: 1 })
}
