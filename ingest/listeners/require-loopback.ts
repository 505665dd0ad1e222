import { isLoopbackBind } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'

/** For an edge that believes every client id. @throws BIND_NOT_LOOPBACK */
export function requireLoopback(bind: string): void {
  if (isLoopbackBind(bind)) return
  throw new PenstockError(
    'BIND_NOT_LOOPBACK',
    `PENSTOCK_BIND=${bind}: without device identities the edge believes every client id, so it listens on loopback (127.0.0.0/8, ::1, localhost) only`,
  )
}
