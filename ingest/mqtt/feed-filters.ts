import type { Feed } from '#ingest/session/delivery.ts'
import { commandPath, desiredFilter, methodFilter, registrationFilter, twinAnswerFilter } from '#schemas/hub-topics.ts'
import type { Publisher } from './route.ts'

const shared: ReadonlyMap<string, Feed> = new Map([
  [methodFilter, 'methods'],
  [twinAnswerFilter, 'twinAnswers'],
  [desiredFilter, 'desired'],
])

/**
 * What a filter asks to listen to; `undefined`: nothing that there is. A filter is the hub's to the letter: no other matches more than one
 * feed of this device alone. A client without an id listens to nothing, since nobody can address it. Who registers has one feed, which no
 * device has.
 */
export function feedOf(filter: string, { deviceId, moduleId, registrant }: Publisher): Feed | undefined {
  if (registrant !== undefined) return filter === registrationFilter ? 'registration' : undefined
  if (deviceId === undefined) return undefined
  return filter === `${commandPath(deviceId, moduleId)}/#` ? 'commands' : shared.get(filter)
}
