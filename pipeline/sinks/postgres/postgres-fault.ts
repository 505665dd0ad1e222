import { type EndpointError, held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { refusedAddress } from '#runtime/outgoing-addresses.ts'

/**
 * What a fault of the server means (PostgreSQL manual, appendix A, "PostgreSQL Error Codes"). Whatever is not known to be final may have
 * taken effect: then the same range comes again, and is found if it did.
 */
export function postgresFault(error: unknown): EndpointError {
  const { code = '', message = String(error) } = error as { code?: string; message?: string }
  if (code === refusedAddress) return held(message, 'Unauthorized')
  // Password, role, or right missing.
  if (code.startsWith('28') || code === '42501') return held(message, 'Unauthorized')
  // Database, schema, table or column missing, or of another type than is written.
  if (code === '3D000' || code === '3F000' || code.startsWith('42')) return held(message, 'NotFound')
  // What a row holds: out of range, no JSON, no UTF-8, against a constraint, too wide.
  if (code.startsWith('22') || code.startsWith('23')) return refused(message)
  if (code.startsWith('54')) return refused(message, 'MaxMessageSizeExceeded')
  if (code === '57014') return unavailable(message, 'Timeout')
  if (code === '53300') return unavailable(message, 'Throttled')
  return unavailable(message, 'Transient')
}
