import { PenstockError } from '#schemas/errors.ts'

/** What ends a connection: the error itself, or of any other kind a protocol error with that as its cause. */
export function faultOf(error: unknown): PenstockError {
  return error instanceof PenstockError
    ? error
    : new PenstockError('INGEST_PROTOCOL_ERROR', String(error), { cause: error })
}
