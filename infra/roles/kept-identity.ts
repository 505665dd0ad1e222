import type { SessionKeeper } from '#control/sessions/session-keeper.ts'
import type { KeptIdentity } from '#ingest/session/identity.ts'
import type { IdentityId } from '#schemas/identity-id.ts'

/** What is kept of the session of a device that was let in. It is asked for only where the client goes on with it. */
export function keptIdentity(
  sessions: SessionKeeper,
  id: IdentityId,
  resumes: boolean,
): KeptIdentity | Promise<KeptIdentity> {
  const keptWith = (
    subscriptions: number | undefined,
    onLate: (listener: (subscriptions: number) => void) => void = () => {},
  ): KeptIdentity => ({
    subscriptions,
    onLate,
    keep: (changed, keptSeconds) => sessions.keep({ ...id, subscriptions: changed, keptSeconds }),
    end: () => sessions.forget(id),
  })
  if (!resumes) return keptWith(0)
  let tellLate = (_subscriptions: number): void => {}
  return sessions
    .lookup(id, (subscriptions) => tellLate(subscriptions))
    .then((subscriptions) =>
      keptWith(subscriptions, (listener) => {
        tellLate = listener
      }),
    )
}
