/** Who uses the console, and where it is. */
import { aBoolean, aNumber, aText, listOf, mapOf, optional, recordOf } from '#runtime/json-check.ts'
import { answerOf, json, send } from './call.ts'

export interface Session {
  readonly policy: string
  readonly rights: readonly string[]
  /** Left out: it does not end. */
  readonly expiresAt: string | undefined
  /** Whoever is on this machine is the owner, without a login. */
  readonly isOpen: boolean
  readonly hostName: string
  readonly host: string
  /** By protocol: mqtt, mqtts, http, https. */
  readonly ports: Readonly<Record<string, number>>
  readonly version: string
}

const session = recordOf<Session>({
  policy: aText,
  rights: listOf(aText),
  expiresAt: optional(aText),
  isOpen: aBoolean,
  hostName: aText,
  host: aText,
  ports: mapOf(aNumber),
  version: aText,
})

const path = '/console/session'

/** `undefined`: nobody has logged in. */
export async function currentSession(signal?: AbortSignal): Promise<Session | undefined> {
  const response = await answerOf(path, { signal })
  return response.status === 204 ? undefined : session(await response.json())
}

export function logIn(policy: string, key: string): Promise<Session> {
  return json(session, path, { method: 'POST', body: { policy, key } })
}

export function logOut(): Promise<void> {
  return send(path, { method: 'DELETE' })
}
