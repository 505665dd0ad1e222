import { PenstockError } from '#schemas/errors.ts'

/** The fault that ends a connection. Whatever is no expected fault becomes a protocol error, with that as its cause. */
export function faultOf(error: unknown): PenstockError {
  return error instanceof PenstockError
    ? error
    : new PenstockError('INGEST_PROTOCOL_ERROR', String(error), { cause: error })
}
