/** Faults as the hub's REST API tells them, by which its clients decide: status, error name and number. */
import { type ErrorCode, isPenstockError } from './errors.ts'

export interface HubFault {
  readonly status: number
  readonly name: string
  readonly number: number
}

const argumentInvalid: HubFault = { status: 400, name: 'ArgumentInvalid', number: 400_004 }
const unauthorized: HubFault = { status: 401, name: 'IotHubUnauthorizedAccess', number: 401_002 }
const serverError: HubFault = { status: 500, name: 'ServerError', number: 500_001 }
const messageTooLarge: HubFault = { status: 413, name: 'MessageTooLarge', number: 413_001 }
export const throttled: HubFault = { status: 429, name: 'ThrottlingException', number: 429_001 }
/** The hub has no number for what can no longer be done. */
const conflict: HubFault = { status: 409, name: 'Conflict', number: 409_000 }
const unavailable: HubFault = { status: 503, name: 'ServiceUnavailable', number: 503_001 }

const faults: Partial<Record<ErrorCode, HubFault>> = {
  REGISTRY_ID_INVALID: argumentInvalid,
  REGISTRY_ARGUMENT_INVALID: argumentInvalid,
  REGISTRY_QUERY_INVALID: argumentInvalid,
  REGISTRY_BODY_MALFORMED: { status: 400, name: 'IotHubFormatError', number: 400_006 },
  REGISTRY_BODY_TOO_LARGE: messageTooLarge,
  REGISTRY_DEVICE_EXISTS: { status: 409, name: 'DeviceAlreadyExists', number: 409_001 },
  REGISTRY_DEVICE_UNKNOWN: { status: 404, name: 'DeviceNotFound', number: 404_001 },
  REGISTRY_MODULE_EXISTS: { status: 409, name: 'ModuleAlreadyExistsOnDevice', number: 409_301 },
  REGISTRY_MODULE_UNKNOWN: { status: 404, name: 'ModuleNotFound', number: 404_010 },
  REGISTRY_MODULES_FULL: { status: 413, name: 'TooManyModulesOnDevice', number: 413_003 },
  REGISTRY_AUTHORITY_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  REGISTRY_QUOTA_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  REGISTRY_POLICY_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  REGISTRY_ETAG_STALE: { status: 412, name: 'PreconditionFailed', number: 412_001 },
  TWIN_INVALID: argumentInvalid,
  TWIN_CONFLICT: { status: 409, name: 'LinkCreationConflict', number: 409_002 },
  METHOD_DEVICE_OFFLINE: { status: 404, name: 'DeviceNotOnline', number: 404_103 },
  METHOD_CONNECTION_LOST: { status: 404, name: 'DeviceConnectionClosedRemotely', number: 404_104 },
  METHOD_UNANSWERED: { status: 504, name: 'GatewayTimeout', number: 504_101 },
  METHOD_ANSWER_INVALID: { status: 502, name: 'BadDeviceResponse', number: 502_000 },
  METHOD_TOO_MANY: { status: 429, name: 'ThrottlingMaxConcurrentCallsExceeded', number: 429_002 },
  METHOD_TOO_LARGE: messageTooLarge,
  ROUTING_INVALID: argumentInvalid,
  ROUTING_ETAG_STALE: { status: 412, name: 'PreconditionFailed', number: 412_001 },
  ROUTING_REPLAY_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  ROUTING_ENDPOINT_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  MODEL_INVALID: argumentInvalid,
  MODEL_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  MODEL_CONFLICT: conflict,
  REGISTRY_PATH_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  COMMAND_INVALID: argumentInvalid,
  COMMAND_TOO_LARGE: messageTooLarge,
  COMMAND_QUEUE_FULL: { status: 403, name: 'DeviceMaximumQueueDepthExceeded', number: 403_004 },
  COMMANDS_FULL: throttled,
  COMMAND_LOCK_LOST: { status: 412, name: 'DeviceMessageLockLost', number: 412_002 },
  COMMAND_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  DEAD_LETTER_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  DEAD_LETTER_SETTLED: conflict,
  DEAD_LETTER_REPLAYING: conflict,
  BATCH_CORRUPT: conflict,
  ENDPOINT_UNAVAILABLE: unavailable,
  LOG_UNAVAILABLE: unavailable,
  UPLOAD_NAME_INVALID: argumentInvalid,
  UPLOAD_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  UPLOAD_ABSENT: argumentInvalid,
  UPLOAD_TOO_MANY: { status: 403, name: 'DeviceMaximumActiveFileUploadLimitExceeded', number: 403_006 },
  UPLOADS_FULL: { status: 403, name: 'IotHubQuotaExceeded', number: 403_002 },
  UPLOAD_STORE_UNAVAILABLE: unavailable,
  PROVISIONING_ENROLMENT_UNKNOWN: { status: 404, name: 'NotFound', number: 404_201 },
  PROVISIONING_ENROLMENT_EXISTS: { status: 409, name: 'AlreadyExists', number: 409_201 },
  PROVISIONING_GROUPS_FULL: { status: 403, name: 'QuotaExceeded', number: 403_201 },
  PROVISIONING_DEVICE_FOREIGN: { status: 409, name: 'Conflict', number: 409_202 },
  PROVISIONING_OPERATION_UNKNOWN: { status: 404, name: 'NotFound', number: 404_203 },
  PROVISIONING_HUB_UNKNOWN: { status: 404, name: 'NotFound', number: 404_204 },
  PROVISIONING_UNREACHABLE: unavailable,
  PROVISIONING_BUSY: throttled,
  PROVISIONING_REQUEST_INVALID: argumentInvalid,
  PROVISIONING_REGISTRATION_UNKNOWN: { status: 404, name: 'NotFound', number: 404_202 },
  CONFIGURATION_INVALID: argumentInvalid,
  CONFIGURATION_EXISTS: { status: 409, name: 'ConfigurationAlreadyExists', number: 409_000 },
  CONFIGURATION_UNKNOWN: { status: 404, name: 'ConfigurationNotFound', number: 404_000 },
  CONFIGURATIONS_FULL: { status: 403, name: 'ConfigurationCountLimitExceeded', number: 403_000 },
  JOB_INVALID: argumentInvalid,
  JOB_EXISTS: { status: 409, name: 'JobAlreadyExists', number: 409_000 },
  JOB_UNKNOWN: { status: 404, name: 'JobNotFound', number: 404_002 },
  JOBS_FULL: { status: 429, name: 'ThrottlingMaxActiveJobCountExceeded', number: 429_004 },
  STORE_UNAVAILABLE: unavailable,
  WAREHOUSE_UNAVAILABLE: unavailable,
  WAREHOUSE_REFUSED: conflict,
  AUTH_DIRECTORY_UNAVAILABLE: unavailable,
  AUTH_TOKEN_EXPIRED: { status: 401, name: 'IotHubUnauthorized', number: 401_003 },
  // The hub has a status for these two, but no code that its clients know.
  AUTH_IDENTITY_DISABLED: { status: 403, name: 'DeviceDisabled', number: 403_000 },
  INGEST_CODING_UNKNOWN: { status: 415, name: 'UnsupportedMediaType', number: 415_000 },
  INGEST_BODY_MALFORMED: argumentInvalid,
  INGEST_NOT_AUTHORIZED: unauthorized,
  INGEST_FRAME_TOO_LARGE: messageTooLarge,
  INGEST_RATE_EXCEEDED: throttled,
  INGEST_FAILURES_EXCEEDED: throttled,
  INGEST_OVERLOADED: unavailable,
  INGEST_DRAINING: unavailable,
  // Only what is too large for the log is refused for good; sent again as it is, it would be again.
  INGEST_MESSAGE_REFUSED: messageTooLarge,
  CONSOLE_VIEWERS_FULL: throttled,
  LOADTEST_UNKNOWN: { status: 404, name: 'NotFound', number: 404_000 },
  LOADTEST_RUNNING: conflict,
  LOADTEST_IMPOSSIBLE: unavailable,
  LOADTESTS_FULL: { status: 403, name: 'QuotaExceeded', number: 403_201 },
}

/** Every AUTH code that is not named is the same to a caller. */
export function hubFaultOf(error: unknown): HubFault {
  if (!isPenstockError(error)) return serverError
  return faults[error.code] ?? (error.code.startsWith('AUTH_') ? unauthorized : serverError)
}
