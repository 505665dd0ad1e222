/**
 * Answers of OTLP/HTTP, in the encoding of the request (opentelemetry.io, "OTLP Specification", OTLP/HTTP Response):
 *
 *   200   Export…ServiceResponse { 1 partial_success { 1 rejected (varint), 2 error_message } }     empty where nothing was rejected
 *   4xx   Status { 1 code (varint), 2 message }                                                     503 and 429 are sent again, all else is not
 */
import { withChallenge } from '#ingest/http/credential.ts'
import { RateExceeded } from '#ingest/quotas/quotas.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'

export type Encoding = 'protobuf' | 'json'

const contentTypes: Readonly<Record<Encoding, string>> = {
  protobuf: 'application/x-protobuf',
  json: 'application/json',
}

/** `undefined`: neither of the two. */
export function encodingOf(request: HttpRequest): Encoding | undefined {
  const [type = ''] = request.header('content-type').split(';', 1)
  if (type.trim().toLowerCase() === contentTypes.protobuf) return 'protobuf'
  return type.trim().toLowerCase() === contentTypes.json ? 'json' : undefined
}

/** @param rejectedField what the message of this signal is called: `rejectedDataPoints`, `rejectedLogRecords` */
export function successAnswer(
  encoding: Encoding,
  rejectedField: string,
  rejectedCount: number,
  refusal: string | undefined,
): HttpAnswer {
  const message = refusal ?? ''
  if (encoding === 'protobuf') {
    const partial = Buffer.concat([numberField(1, rejectedCount), textField(2, message)])
    return answer(200, encoding, rejectedCount === 0 ? Buffer.alloc(0) : bytesField(1, partial))
  }
  const partialSuccess = { [rejectedField]: String(rejectedCount), errorMessage: message }
  return answer(200, encoding, JSON.stringify(rejectedCount === 0 ? {} : { partialSuccess }))
}

/** Codes of gRPC by status of HTTP. */
const statusCodes: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  404: 12,
  413: 3,
  415: 3,
  429: 8,
  503: 14,
}
const internalCode = 13

/** Said here, since whatever no route takes is asked of the control role, which would be started for it again and again. */
export function noTracesAnswer(request: HttpRequest): HttpAnswer {
  return statusAnswer(404, 'traces are not taken here, only metrics and logs', request)
}

export function otlpFaultAnswer(error: unknown, request: HttpRequest): HttpAnswer {
  if (!isPenstockError(error)) throw error
  const { status } = hubFaultOf(error)
  const seconds = error instanceof RateExceeded ? Math.ceil(error.retryAfterMs / 1000) : status === 503 ? 1 : 0
  const headers: Record<string, string> = seconds > 0 ? { 'Retry-After': String(seconds) } : {}
  return withChallenge(statusAnswer(status, error.message, request, headers))
}

function statusAnswer(
  status: number,
  message: string,
  request: HttpRequest,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  const encoding = encodingOf(request) ?? 'json'
  const code = statusCodes[status] ?? internalCode
  const asBytes = () => Buffer.concat([numberField(1, code), textField(2, message)])
  return answer(status, encoding, encoding === 'protobuf' ? asBytes() : JSON.stringify({ code, message }), headers)
}

/** @throws INGEST_CODING_UNKNOWN */
export function requireEncoding(request: HttpRequest): Encoding {
  const encoding = encodingOf(request)
  if (encoding !== undefined) return encoding
  const allowed = Object.values(contentTypes).join(' and ')
  throw new PenstockError('INGEST_CODING_UNKNOWN', `the content types that are read here are ${allowed}`)
}

function answer(
  status: number,
  encoding: Encoding,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  return { status, headers: { 'Content-Type': contentTypes[encoding], ...headers }, body }
}

function numberField(field: number, value: number): Buffer {
  return Buffer.from([field << 3, ...varint(value)])
}

function textField(field: number, text: string): Buffer {
  return bytesField(field, Buffer.from(text))
}

function bytesField(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(bytes.length)]), bytes])
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return [...bytes, rest]
}
