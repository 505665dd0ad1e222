/**
 * The one change feed of the control store: what any process changed, as NOTIFY payloads in the transaction that changes it.
 *
 *   identities   {"i":[["c","device"],["u","device","module"],["d","device"]]}
 *   trust        {"t":1}
 *   quotas       {"q":1}      by a trigger: see migrations.ts
 *
 * A further kind of change is a line in `readers`, and one in `ControlChange`.
 */
import type { IdentityId } from '#schemas/identity-id.ts'
import { itemsPacked, type Queries } from './database.ts'

export const changeChannel = 'penstock_registry'

export interface IdentityChange extends IdentityId {
  readonly change: 'created' | 'updated' | 'deleted'
}

export type ControlChange =
  | { readonly kind: 'identities'; readonly changes: readonly IdentityChange[] }
  /** Policies or authorities. */
  | { readonly kind: 'trust' }
  /** Quotas of single devices. */
  | { readonly kind: 'quotas' }
  /** Changes and announcements may have been missed: forget everything derived from the store. */
  | { readonly kind: 'resync' }

export interface Changes {
  /** Calls back after each committed change, made by this or any other process. The result ends it. */
  onChange(listener: (change: ControlChange) => void): () => void
}

/** What an edge process is told of changes. */
export type Invalidation =
  /** These devices and all their modules. */
  | { readonly kind: 'devices'; readonly deviceIds: readonly string[] }
  | { readonly kind: 'trust' }
  | { readonly kind: 'quotas' }
  /** Notices may have been missed. */
  | { readonly kind: 'everything' }

export interface Invalidations {
  /** Calls back whenever something that was told may no longer hold. The result ends it. */
  onInvalidate(listener: (invalidation: Invalidation) => void): () => void
}

export function invalidationOf(change: ControlChange): Invalidation {
  switch (change.kind) {
    case 'identities':
      return { kind: 'devices', deviceIds: [...new Set(change.changes.map(({ deviceId }) => deviceId))] }
    case 'trust':
      return { kind: 'trust' }
    case 'quotas':
      return { kind: 'quotas' }
    case 'resync':
      return { kind: 'everything' }
  }
}

const letters = { created: 'c', updated: 'u', deleted: 'd' } as const
const words: Readonly<Record<string, IdentityChange['change']>> = { c: 'created', u: 'updated', d: 'deleted' }

/** Tells every process, once the transaction of `queries` commits. Splits what is longer than one payload. */
export async function notifyIdentities(queries: Queries, changes: readonly IdentityChange[]): Promise<void> {
  const items = changes.map(({ change, deviceId, moduleId }) =>
    JSON.stringify(moduleId === undefined ? [letters[change], deviceId] : [letters[change], deviceId, moduleId]),
  )
  const payloads = itemsPacked(items, 8).map((text) => `{"i":[${text}]}`)
  if (payloads.length === 0) return
  await queries.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [changeChannel, payloads])
}

export async function notifyTrust(queries: Queries): Promise<void> {
  await queries.query('SELECT pg_notify($1, $2)', [changeChannel, '{"t":1}'])
}

/** By the one field that a payload has. */
const readers: Readonly<Record<string, (value: unknown) => ControlChange>> = {
  i: (value) => ({ kind: 'identities', changes: identityChanges(value) }),
  t: () => ({ kind: 'trust' }),
  q: () => ({ kind: 'quotas' }),
}

/** A payload that this version cannot read is a `resync`: forgetting is always right. */
export function changeFromPayload(payload: string): ControlChange {
  try {
    const value: unknown = JSON.parse(payload)
    const [field] = typeof value === 'object' && value !== null ? Object.entries(value) : []
    const read = field && Object.hasOwn(readers, field[0]) ? readers[field[0]] : undefined
    if (field && read) return read(field[1])
  } catch {
    // A newer process may write what this one does not know.
  }
  return { kind: 'resync' }
}

function identityChanges(value: unknown): IdentityChange[] {
  if (!Array.isArray(value)) throw new TypeError('no list of changes')
  return value.map((item: unknown) => {
    if (!Array.isArray(item)) throw new TypeError('not a change')
    const [letter, deviceId, moduleId]: unknown[] = item
    const change = words[String(letter)]
    if (change === undefined || typeof deviceId !== 'string') throw new TypeError('not a change')
    return { change, deviceId, moduleId: typeof moduleId === 'string' ? moduleId : undefined }
  })
}
