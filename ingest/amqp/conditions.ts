import type { ProvisioningAnswer } from '#control/provisioning/provisioning.ts'
import { described, type Encoded, mapOf, symbol, uint } from '#runtime/amqp/write-values.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'

/** Names under which the hub's clients know faults. Any other is `amqp:internal-error`, which they report and do not repeat. */
const conditions: Partial<Record<ErrorCode, string>> = {
  INGEST_NOT_AUTHORIZED: 'amqp:unauthorized-access',
  INGEST_CONNECT_REFUSED: 'amqp:unauthorized-access',
  INGEST_ADDRESS_UNKNOWN: 'amqp:not-found',
  INGEST_LINK_STOLEN: 'amqp:link:stolen',
  INGEST_READERS_FULL: 'amqp:resource-limit-exceeded',
  INGEST_LINK_REDIRECTED: 'amqp:link:redirect',
  COMMAND_INVALID: 'com.microsoft:argument-error',
  COMMAND_TOO_LARGE: 'amqp:link:message-size-exceeded',
  COMMAND_QUEUE_FULL: 'amqp:resource-limit-exceeded',
  COMMANDS_FULL: 'com.microsoft:device-container-throttled',
  COMMAND_LOCK_LOST: 'com.microsoft:message-lock-lost',
  REGISTRY_DEVICE_UNKNOWN: 'amqp:not-found',
  READING_POSITION_INVALID: 'com.microsoft:argument-error',
  LOG_UNAVAILABLE: 'com.microsoft:timeout',
  INGEST_FRAME_MALFORMED: 'amqp:decode-error',
  INGEST_BODY_MALFORMED: 'com.microsoft:argument-error',
  INGEST_FRAME_TOO_LARGE: 'amqp:link:message-size-exceeded',
  INGEST_MESSAGE_TOO_LARGE: 'amqp:link:message-size-exceeded',
  INGEST_PROTOCOL_ERROR: 'amqp:not-allowed',
  INGEST_LINK_CREDIT: 'amqp:link:transfer-limit-exceeded',
  INGEST_TAKE_OVER: 'amqp:link:detach-forced',
  INGEST_CONNECTIONS_FULL: 'amqp:resource-limit-exceeded',
  INGEST_RATE_EXCEEDED: 'com.microsoft:device-container-throttled',
  INGEST_COMMANDS_HELD: 'com.microsoft:device-container-throttled',
  INGEST_CONNECTION_RATE: 'com.microsoft:device-container-throttled',
  INGEST_FAILURES_EXCEEDED: 'com.microsoft:device-container-throttled',
  // These are repeated by the clients.
  INGEST_DRAINING: 'amqp:connection:forced',
  INGEST_KEEP_ALIVE_TIMEOUT: 'amqp:connection:forced',
  INGEST_OVERLOADED: 'com.microsoft:timeout',
  AUTH_DIRECTORY_UNAVAILABLE: 'com.microsoft:timeout',
}

/** What a fault is called when a whole connection ends for it. */
const connectionConditions: Partial<Record<ErrorCode, string>> = {
  INGEST_FRAME_MALFORMED: 'amqp:connection:framing-error',
  INGEST_FRAME_TOO_LARGE: 'amqp:connection:framing-error',
  INGEST_TAKE_OVER: 'amqp:connection:forced',
}

/** A link that leads elsewhere (part 2, section 2.8.19). */
export class RedirectError extends PenstockError {
  readonly host: string
  readonly port: number
  /** Of what is there, under its host. */
  readonly path: string

  constructor(host: string, port: number, path: string) {
    super('INGEST_LINK_REDIRECTED', `it lies at ${path}`)
    this.host = host
    this.port = port
    this.path = path
  }
}

/** An error of the norm (part 2, section 2.8.14). */
export function errorOf(error: PenstockError): Encoded {
  const { code, message } = error
  const info = error instanceof RedirectError ? redirectInfo(error) : null
  return errorValue(conditions[code] ?? 'amqp:internal-error', message, info)
}

function redirectInfo({ host, port, path }: RedirectError): Encoded {
  return mapOf([
    [symbol('hostname'), host],
    [symbol('network-host'), host],
    [symbol('port'), uint(port)],
    [symbol('address'), `amqps://${host}:${port}/${path}`],
  ])
}

export function connectionErrorOf(error: PenstockError): Encoded {
  const condition = connectionConditions[error.code]
  return condition === undefined ? errorOf(error) : errorValue(condition, error.message)
}

function errorValue(condition: string, description: string, info: Encoded | null = null): Encoded {
  return described(0x1d, [symbol(condition), description, info])
}

/** By status of the provisioning service. Any other is `amqp:internal-error`, which its clients repeat. */
const registrationConditions: Readonly<Record<number, string>> = {
  400: 'com.microsoft:argument-error',
  401: 'amqp:unauthorized-access',
  403: 'amqp:resource-limit-exceeded',
  404: 'amqp:not-found',
  405: 'amqp:not-allowed',
  409: 'com.microsoft:device-already-exists',
  413: 'amqp:link:message-size-exceeded',
  429: 'com.microsoft:device-container-throttled',
}

/** A refusal of the provisioning service: its document is the description, and when to come back stands beside it. */
export function registrationErrorOf({ status, body, retryAfterSeconds }: ProvisioningAnswer): Encoded {
  const info = retryAfterSeconds === undefined ? [] : [[symbol('retry-after'), String(retryAfterSeconds)] as const]
  return errorValue(registrationConditions[status] ?? 'amqp:internal-error', body, mapOf(info))
}

/** What the answer to a token, or to a request of management, says of a fault. */
export function statusOf({ code }: PenstockError): number {
  switch (code) {
    case 'INGEST_CONNECTION_RATE':
    case 'INGEST_FAILURES_EXCEEDED':
    case 'INGEST_RATE_EXCEEDED':
      return 429
    case 'INGEST_ADDRESS_UNKNOWN':
      return 404
    case 'LOG_UNAVAILABLE':
    case 'AUTH_DIRECTORY_UNAVAILABLE':
    case 'INGEST_DRAINING':
    case 'INGEST_CONNECTIONS_FULL':
      return 503
    case 'LOG_POSITION_LOST':
    case 'INGEST_PROTOCOL_ERROR':
      return 500
    default:
      return 401
  }
}
