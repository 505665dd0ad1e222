import type { EdgeSessions } from '#control/sessions/sessions.ts'
import type { KeptIdentity } from '#ingest/session/principal.ts'
import type { IdentityId } from '#schemas/identity-id.ts'

/** What is kept of the session of a device that was let in. It is asked for only where the client goes on with it. */
export function keptIdentity(
  sessions: EdgeSessions,
  id: IdentityId,
  resumes: boolean,
): KeptIdentity | Promise<KeptIdentity> {
  const keptWith = (
    subscriptions: number | undefined,
    onLate: KeptIdentity['onLate'],
    end: () => void,
  ): KeptIdentity => ({
    subscriptions,
    onLate,
    keep: (changed, keptSeconds) => sessions.keep({ ...id, subscriptions: changed, keptSeconds }),
    end,
  })
  if (!resumes)
    return keptWith(
      0,
      () => {},
      () => {},
    )
  let tellLate = (_subscriptions: number): void => {}
  const found = (subscriptions: number): void => tellLate(subscriptions)
  const listen = (listener: (subscriptions: number) => void): void => {
    tellLate = listener
  }
  return sessions
    .lookup(id, found)
    .then((subscriptions) => keptWith(subscriptions, listen, () => sessions.forget(id, found)))
}
