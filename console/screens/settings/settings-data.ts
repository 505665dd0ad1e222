import { json } from '#console/data/call.ts'
import { aBoolean, aText, type JsonCheck, listOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'

export interface Setting {
  readonly name: string
  readonly value: string | number | undefined
  /** Of a secret, which has no value here. */
  readonly isSet: boolean | undefined
  readonly source: 'default' | 'file' | 'environment'
  readonly meaning: string
}

export interface Policy {
  readonly name: string
  readonly primaryKey: string
  readonly secondaryKey: string
}

export interface Authority {
  readonly name: string
  readonly isVerified: boolean
  readonly subject: string | undefined
  readonly expiry: string | undefined
}

const textOrNumber: JsonCheck<string | number> = (value) => {
  if (typeof value !== 'string' && typeof value !== 'number') throw new TypeError('is neither text nor number')
  return value
}

const settings = listOf(
  recordOf<Setting>({
    name: aText,
    value: optional(textOrNumber),
    isSet: optional(aBoolean),
    source: oneOf('default', 'file', 'environment'),
    meaning: aText,
  }),
)
const policies = listOf(recordOf({ name: aText, rights: listOf(aText) }))
const policy = recordOf<Policy>({ name: aText, primaryKey: aText, secondaryKey: aText })
const authorities = listOf(
  recordOf<Authority>({ name: aText, isVerified: aBoolean, subject: optional(aText), expiry: optional(aText) }),
)

export const readSettings = (signal: AbortSignal): Promise<readonly Setting[]> =>
  json(settings, '/settings', { signal })
export const readPolicies = (signal: AbortSignal) => json(policies, '/policies', { signal })
export const readPolicy = (name: string, signal: AbortSignal): Promise<Policy> =>
  json(policy, `/policies/${encodeURIComponent(name)}`, { signal })
export const readAuthorities = (signal: AbortSignal): Promise<readonly Authority[]> =>
  json(authorities, '/certificateAuthorities', { signal })
