/** What everyone who serves the hub's REST API, or passes requests on to it, needs: faults as it tells them, and whose request it is. */
import { randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { type ErrorCode, isPenstockError, PenstockError } from '#schemas/errors.ts'

export interface HubFault {
  readonly status: number
  readonly name: string
  readonly number: number
}

const argumentInvalid: HubFault = { status: 400, name: 'ArgumentInvalid', number: 400_004 }
const unauthorized: HubFault = { status: 401, name: 'IotHubUnauthorizedAccess', number: 401_002 }
const serverError: HubFault = { status: 500, name: 'ServerError', number: 500_001 }
const unavailable: HubFault = { status: 503, name: 'ServiceUnavailable', number: 503_001 }

const faults: Partial<Record<ErrorCode, HubFault>> = {
  REGISTRY_ID_INVALID: argumentInvalid,
  REGISTRY_ARGUMENT_INVALID: argumentInvalid,
  REGISTRY_QUERY_INVALID: argumentInvalid,
  REGISTRY_BODY_MALFORMED: { status: 400, name: 'IotHubFormatError', number: 400_006 },
  REGISTRY_BODY_TOO_LARGE: { status: 413, name: 'MessageTooLarge', number: 413_001 },
  REGISTRY_DEVICE_EXISTS: { status: 409, name: 'DeviceAlreadyExists', number: 409_001 },
  REGISTRY_DEVICE_UNKNOWN: { status: 404, name: 'DeviceNotFound', number: 404_001 },
  REGISTRY_MODULE_EXISTS: { status: 409, name: 'ModuleAlreadyExistsOnDevice', number: 409_301 },
  REGISTRY_MODULE_UNKNOWN: { status: 404, name: 'ModuleNotFound', number: 404_010 },
  REGISTRY_MODULES_FULL: { status: 413, name: 'TooManyModulesOnDevice', number: 413_003 },
  REGISTRY_AUTHORITY_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  REGISTRY_QUOTA_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  REGISTRY_POLICY_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  REGISTRY_ETAG_STALE: { status: 412, name: 'PreconditionFailed', number: 412_001 },
  REGISTRY_PATH_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  STORE_UNAVAILABLE: unavailable,
  AUTH_DIRECTORY_UNAVAILABLE: unavailable,
  AUTH_TOKEN_EXPIRED: { status: 401, name: 'IotHubUnauthorized', number: 401_003 },
  // The hub has a status for it, but no code that its clients know.
  AUTH_IDENTITY_DISABLED: { status: 403, name: 'DeviceDisabled', number: 403_000 },
}

/** Every AUTH code that is not named is the same to a caller. */
export function hubFaultOf(error: unknown): HubFault {
  if (!isPenstockError(error)) return serverError
  return faults[error.code] ?? (error.code.startsWith('AUTH_') ? unauthorized : serverError)
}

/** A fault of the registry; what is not an expected fault is told without its text. */
export function faultAnswer(error: unknown): HttpAnswer {
  const fault = hubFaultOf(error)
  const isTold = error instanceof PenstockError && fault.status !== 500
  return classicAnswer(fault, isTold ? error.message : 'the request could not be carried out')
}

/**
 * The classic error body: clients split `Message` at `;` and `:` to find the name, and read the body as JSON only with this
 * content type.
 * @param retryAfterSeconds `undefined`: a moment where the service is unavailable, else nothing is said
 */
export function classicAnswer(
  { status, name }: Pick<HubFault, 'status' | 'name'>,
  text: string,
  retryAfterSeconds = status === 503 ? 1 : 0,
): HttpAnswer {
  const tracking = `Tracking ID:${randomUUID()}-TimeStamp:${new Date().toISOString()}-G:0`
  return jsonAnswer(
    status,
    { Message: `ErrorCode:${name};${text}`, ExceptionMessage: tracking },
    { 'iothub-errorcode': name, ...(retryAfterSeconds > 0 ? { 'Retry-After': String(retryAfterSeconds) } : {}) },
  )
}

/** In which an edge tells the control role whose request it passes on; what a client itself sends under this name never arrives. */
export const clientAddressHeader = 'x-penstock-client-address'

/** The address of whoever made the request. An edge is believed on this machine only: anyone can send a header. */
export function clientAddressOf(request: HttpRequest): string {
  const told = request.header(clientAddressHeader)
  return isLoopbackAddress(request.remoteAddress) && isIP(told) !== 0 ? told : request.remoteAddress
}
