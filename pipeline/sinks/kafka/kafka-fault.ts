import { held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { causeOf, faultType } from '#pipeline/kafka/client.ts'
import { refusedAddress } from '#runtime/outgoing-addresses.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'

/** A right, a password or a certificate that is missing, wrong or not trusted. */
const unauthorized =
  /_AUTHORIZATION_FAILED$|^SASL_AUTHENTICATION_FAILED$|^UNSUPPORTED_SASL_MECHANISM$|^ILLEGAL_SASL_STATE$|^KafkaJSSASLAuthenticationError$/
const missing: ReadonlySet<string> = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION'])
/** Whatever was sent to this topic, or by this protocol, would be refused. */
const unfit: ReadonlySet<string> = new Set([
  'POLICY_VIOLATION',
  'INVALID_CONFIG',
  'INVALID_PARTITIONS',
  'INVALID_REPLICATION_FACTOR',
  'INVALID_TRANSACTION_TIMEOUT',
  'UNSUPPORTED_COMPRESSION_TYPE',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  'UNSUPPORTED_VERSION',
  'INVALID_RECORD',
  // By the clock of this machine, which is wrong.
  'INVALID_TIMESTAMP',
])
const tooLarge: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])
const late = /^REQUEST_TIMED_OUT$|^KafkaJSRequestTimeoutError$/
/** Codes of certificates that Node does not trust (its manual, "X509 certificate error codes"). */
const untrusted = /CERT|^UNABLE_TO_|SSL/

/**
 * What a fault of a broker, or on the way to one, means. Whatever is not known to be final may have taken effect: then the same range
 * comes again, and is found if it did.
 */
export function kafkaFault(error: unknown): PenstockError {
  // An answer that is none is a failed attempt like any other.
  if (isPenstockError(error) && error.code !== 'INTERNAL_EXPECTATION_FAILED') return error
  const type = faultType(error)
  const code = codeOf(error)
  const said = `Kafka answers ${type}${error instanceof Error && error.message !== '' ? `: ${error.message}` : ''}`
  if (code === refusedAddress || unauthorized.test(type) || untrusted.test(code)) return held(said, 'Unauthorized')
  if (missing.has(type)) return held(said, 'NotFound')
  if (unfit.has(type)) return held(said, 'InvalidMessage')
  if (tooLarge.has(type)) return refused(said, 'MaxMessageSizeExceeded')
  return unavailable(said, late.test(type) ? 'Timeout' : 'Transient')
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  return codeOf(causeOf(error))
}
