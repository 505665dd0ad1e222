/** Linked hubs as rows of the control store. */
import type { Queries, SqlRow } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { LinkedHub } from './allocation.ts'

interface LinkedHubRow extends SqlRow {
  readonly host_name: string
  readonly policy_name: string
  readonly key: string
  readonly weight: number
}

export async function linkedHubRows(queries: Queries): Promise<LinkedHub[]> {
  const rows = await queries.query<LinkedHubRow>(
    'SELECT host_name, policy_name, key, weight FROM penstock.linked_hubs ORDER BY host_name',
  )
  return rows.map(({ host_name, policy_name, key, weight }) => ({
    hostName: host_name,
    policyName: policy_name,
    key,
    weight,
  }))
}

/** Creates it, or puts another one in its place. */
export async function putLinkedHubRow(queries: Queries, hub: LinkedHub): Promise<void> {
  const others = await queries.query('SELECT 1 FROM penstock.linked_hubs WHERE host_name <> $1', [hub.hostName])
  if (others.length >= limits.linkedHubsMax)
    throw new PenstockError('REGISTRY_ARGUMENT_INVALID', `at most ${limits.linkedHubsMax} hubs are linked`)
  await queries.query(
    `INSERT INTO penstock.linked_hubs (host_name, policy_name, key, weight, created_at) VALUES ($1, $2, $3, $4, now())
     ON CONFLICT (host_name) DO UPDATE SET policy_name = $2, key = $3, weight = $4`,
    [hub.hostName, hub.policyName, hub.key, hub.weight],
  )
}

export async function deleteLinkedHubRow(queries: Queries, hostName: string): Promise<void> {
  const deleted = await queries.query('DELETE FROM penstock.linked_hubs WHERE host_name = $1 RETURNING 1 AS one', [
    hostName,
  ])
  if (deleted.length === 0) throw new PenstockError('PROVISIONING_HUB_UNKNOWN', `${hostName} is not linked`)
}
