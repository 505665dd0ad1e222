/**
 * Registry changes as they travel in NOTIFY payloads, in the transaction that makes them:
 *
 *   identities   {"i":[["c","device"],["u","device","module"],["d","device"]]}
 *   trust        {"t":1}
 *   quotas       {"q":1}      by a trigger: see sql/migrations.ts
 */
import type { IdentityChange, RegistryChange } from '../registry.ts'
import { itemsPacked, type Queries } from './database.ts'

export const changeChannel = 'penstock_registry'

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

/** A payload that this version cannot read is a `resync`: forgetting is always right. */
export function changeFromPayload(payload: string): RegistryChange {
  try {
    const value: unknown = JSON.parse(payload)
    if (typeof value === 'object' && value !== null) {
      if ('t' in value) return { kind: 'trust' }
      if ('q' in value) return { kind: 'quotas' }
      if ('i' in value && Array.isArray(value.i)) return { kind: 'identities', changes: value.i.map(identityChange) }
    }
  } catch {
    // A newer process may write what this one does not know.
  }
  return { kind: 'resync' }
}

function identityChange(item: unknown): IdentityChange {
  if (!Array.isArray(item)) throw new TypeError('not a change')
  const [letter, deviceId, moduleId]: unknown[] = item
  const change = words[String(letter)]
  if (change === undefined || typeof deviceId !== 'string') throw new TypeError('not a change')
  return { change, deviceId, moduleId: typeof moduleId === 'string' ? moduleId : undefined }
}
