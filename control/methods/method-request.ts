import { argumentFault } from '#control/identities/identity.ts'
import { isObject, type JsonObject, jsonFrom } from '#control/rest/json-body.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isWithinDepth } from '#runtime/json-depth.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MethodRequest } from './methods.ts'

/** What stands around a payload in the body of a request. */
const envelopeBytesMax = 4 * 1024

export const methodBodyBytesMax = limits.methodPayloadBytesMax + envelopeBytesMax

const responseSecondsDefault = 30

/**
 * Reads `{"methodName","payload","responseTimeoutInSeconds","connectTimeoutInSeconds"}`; all but the name may be left out.
 * @throws REGISTRY_BODY_MALFORMED, REGISTRY_ARGUMENT_INVALID, METHOD_TOO_LARGE
 */
export function readMethodRequest(body: Uint8Array): MethodRequest {
  const document = readPayload(body, 1)
  if (!isObject(document)) throw argumentFault('the body must be a JSON object with a methodName')
  return methodRequestFrom(document)
}

/** @param levels that lie around the payload @throws REGISTRY_BODY_MALFORMED, REGISTRY_ARGUMENT_INVALID */
export function readPayload(body: Uint8Array, levels = 0): unknown {
  if (!isWithinDepth(body, limits.methodPayloadDepthMax + levels))
    throw argumentFault(`a payload lies at most ${limits.methodPayloadDepthMax} levels deep`)
  return jsonFrom(body)
}

/** Of its fields, however they were sent. @throws REGISTRY_ARGUMENT_INVALID, METHOD_TOO_LARGE */
export function methodRequestFrom(document: JsonObject): MethodRequest {
  const payload = JSON.stringify(document.payload ?? null)
  if (Buffer.byteLength(payload) > limits.methodPayloadBytesMax)
    throw new PenstockError('METHOD_TOO_LARGE', `a payload holds at most ${limits.methodPayloadBytesMax} bytes`)
  const responseSeconds = secondsOf(
    document.responseTimeoutInSeconds,
    'responseTimeoutInSeconds',
    responseSecondsDefault,
    limits.methodResponseSecondsMin,
    limits.methodResponseSecondsMax,
  )
  const connectSeconds = secondsOf(
    document.connectTimeoutInSeconds,
    'connectTimeoutInSeconds',
    0,
    0,
    limits.methodConnectSecondsMax,
  )
  return {
    call: { kind: 'method', name: nameOf(document.methodName), payload, responseMs: responseSeconds * 1000 },
    connectMs: connectSeconds * 1000,
  }
}

/** Aborts once the client goes while its device is waited for; `undefined`: it is not waited for. */
export function leftOf(request: HttpRequest, { connectMs }: MethodRequest): AbortSignal | undefined {
  if (connectMs === 0) return undefined
  const left = new AbortController()
  request.onLeft(() => left.abort())
  return left.signal
}

/** It is one level of a topic: what has a meaning there, cannot be printed or is half a character is not allowed. */
function nameOf(name: unknown): string {
  if (
    typeof name !== 'string' ||
    name === '' ||
    Buffer.byteLength(name) > limits.methodNameBytesMax ||
    /[/+#$?\p{Cc}]/u.test(name) ||
    Buffer.from(name).toString() !== name
  )
    throw argumentFault(
      `methodName must be a text of 1 to ${limits.methodNameBytesMax} bytes without / + # $ ? and control characters`,
    )
  return name
}

function secondsOf(value: unknown, field: string, otherwise: number, min: number, max: number): number {
  if (value === undefined || value === null) return otherwise
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  throw argumentFault(`${field} must be a whole number from ${min} to ${max}`)
}
