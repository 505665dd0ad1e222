/**
 * What services do over AMQP is what they do over HTTP: the service API decides, audits and answers, and here it is only said in other
 * words.
 */
import { assert } from '#runtime/assert.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'

/** A request to the service API, as a service would send it. */
export interface ServiceRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  /** The token of the service for which it is asked. */
  readonly authorization: string
  /** Of the service, for the audit. */
  readonly remoteAddress: string
  /** JSON. */
  readonly body?: string
}

export interface ServiceAnswer {
  readonly status: number
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

/** Asks the service API. Rejects with AUTH_DIRECTORY_UNAVAILABLE where nobody answers. */
export type ServiceRequests = (request: ServiceRequest) => Promise<ServiceAnswer>

/** What is told by what stands in `conditions.ts`; other statuses are faults of the hub's own, which clients repeat. */
const codes: Readonly<Record<number, ErrorCode>> = {
  400: 'COMMAND_INVALID',
  401: 'INGEST_NOT_AUTHORIZED',
  403: 'COMMAND_QUEUE_FULL',
  404: 'REGISTRY_DEVICE_UNKNOWN',
  412: 'COMMAND_LOCK_LOST',
  413: 'COMMAND_TOO_LARGE',
  429: 'COMMANDS_FULL',
}

/** What an answer refuses; `undefined`: it does not. */
export function refusalIn({ status, body }: ServiceAnswer): PenstockError | undefined {
  assert(status >= 200, `the service API answers with a status that is final, and not ${status}`)
  if (status < 300) return undefined
  return new PenstockError(codes[status] ?? 'AUTH_DIRECTORY_UNAVAILABLE', messageIn(body) ?? `status ${status}`)
}

/** `{"Message":"ErrorCode:{name};{text}"}` */
function messageIn(body: Buffer): string | undefined {
  try {
    const { Message: message } = JSON.parse(body.toString('utf8')) as { readonly Message?: unknown }
    return typeof message === 'string' ? message.replace(/^ErrorCode:\w+;/, '') : undefined
  } catch {
    return undefined
  }
}
