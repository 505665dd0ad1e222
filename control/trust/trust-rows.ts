/** Policies and certificate authorities as rows of the control store. */

import { newEtag } from '#control/identities/identity.ts'
import { type Right, rights } from '#control/rest/rights.ts'
import type { Queries, SqlRow } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { CertificateAuthority, KeyName, Policy } from './trust.ts'

const policyColumns = 'name, rights, primary_key, secondary_key'

interface PolicyRow extends SqlRow {
  readonly name: string
  readonly rights: string
  readonly primary_key: string
  readonly secondary_key: string
}

function policyFromRow(row: PolicyRow): Policy {
  return {
    name: row.name,
    rights: row.rights.split(' ').filter(isRight),
    primaryKey: row.primary_key,
    secondaryKey: row.secondary_key,
  }
}

export async function policyRows(queries: Queries): Promise<Policy[]> {
  const rows = await queries.query<PolicyRow>(`SELECT ${policyColumns} FROM penstock.policies ORDER BY name`)
  return rows.map(policyFromRow)
}

/** One statement, so that the new keys of two callers never undo each other. */
export async function rekeyPolicyRow(
  queries: Queries,
  name: string,
  which: KeyName,
  key: string,
): Promise<Policy | undefined> {
  const [row] = await queries.query<PolicyRow>(
    `UPDATE penstock.policies SET ${which}_key = $2 WHERE name = $1 RETURNING ${policyColumns}`,
    [name, key],
  )
  return row && policyFromRow(row)
}

export async function putPolicyRow(queries: Queries, policy: Policy): Promise<void> {
  await queries.query(
    `INSERT INTO penstock.policies (name, rights, primary_key, secondary_key) VALUES ($1, $2, $3, $4)
     ON CONFLICT (name) DO UPDATE SET rights = $2, primary_key = $3, secondary_key = $4`,
    [policy.name, policy.rights.join(' '), policy.primaryKey, policy.secondaryKey],
  )
}

/** Adds the policies whose names are free; of several processes that start at once, one wins. */
export async function insertPolicyRows(queries: Queries, policies: readonly Policy[]): Promise<void> {
  for (const policy of policies) {
    await queries.query(
      `INSERT INTO penstock.policies (name, rights, primary_key, secondary_key) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
      [policy.name, policy.rights.join(' '), policy.primaryKey, policy.secondaryKey],
    )
  }
}

export async function authorityRows(queries: Queries): Promise<CertificateAuthority[]> {
  const rows = await queries.query<{
    name: string
    certificate: string
    verified: boolean
    verification_code: string | null
  }>('SELECT name, certificate, verified, verification_code FROM penstock.authorities ORDER BY name')
  return rows.map(({ name, certificate, verified, verification_code }) => ({
    name,
    certificate,
    verified,
    verificationCode: verification_code ?? undefined,
  }))
}

export async function putAuthorityRow(queries: Queries, authority: CertificateAuthority, nowMs: number): Promise<void> {
  const others = await queries.query('SELECT 1 FROM penstock.authorities WHERE name <> $1', [authority.name])
  if (others.length >= limits.authoritiesMax) {
    throw new PenstockError(
      'REGISTRY_ARGUMENT_INVALID',
      `at most ${limits.authoritiesMax} certificate authorities are kept`,
    )
  }
  await queries.query(
    `INSERT INTO penstock.authorities (name, certificate, verified, verification_code, etag, created_at)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (name) DO UPDATE SET certificate = $2, verified = $3, verification_code = $4, etag = $5`,
    [
      authority.name,
      authority.certificate,
      authority.verified,
      authority.verificationCode ?? null,
      newEtag(),
      new Date(nowMs),
    ],
  )
}

export async function deleteAuthorityRow(queries: Queries, name: string): Promise<boolean> {
  return (await queries.query('DELETE FROM penstock.authorities WHERE name = $1 RETURNING 1 AS one', [name])).length > 0
}

function isRight(text: string): text is Right {
  return (rights as readonly string[]).includes(text)
}
