import { type IdentityId, identityText } from '#schemas/identity-id.ts'

/** Tells of many at once: of all that one statement accepted, since their senders learn of it in one turn of the event loop. */
export function gatheredNotices(tell: (ids: readonly IdentityId[]) => void): (id: IdentityId) => void {
  const gathered = new Map<string, IdentityId>()
  return (id) => {
    if (gathered.size === 0)
      setImmediate(() => {
        const ids = [...gathered.values()]
        gathered.clear()
        tell(ids)
      })
    gathered.set(identityText(id), { deviceId: id.deviceId, moduleId: id.moduleId })
  }
}
