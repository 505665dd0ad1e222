import { notifyTrust } from '#control/store/changes.ts'
import type { Database, Queries } from '#control/store/database.ts'
import type { Clock } from '#runtime/clock.ts'
import type { CertificateAuthority, KeyName, Policy, Trust, TrustStore } from './trust.ts'
import {
  authorityRows,
  deleteAuthorityRow,
  insertPolicyRows,
  policyRows,
  putAuthorityRow,
  putPolicyRow,
  rekeyPolicyRow,
} from './trust-rows.ts'

/** Trust over the control store, which belongs to the caller. */
export class SqlTrust implements TrustStore {
  readonly #database: Database
  readonly #clock: Clock

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  async trust(): Promise<Trust> {
    return { policies: await policyRows(this.#database), authorities: await authorityRows(this.#database) }
  }

  addPolicies(policies: readonly Policy[]): Promise<void> {
    return this.#changed((queries) => insertPolicyRows(queries, policies))
  }

  putPolicy(policy: Policy): Promise<void> {
    return this.#changed((queries) => putPolicyRow(queries, policy))
  }

  rekeyPolicy(name: string, which: KeyName, key: string): Promise<Policy | undefined> {
    return this.#changed(
      (queries) => rekeyPolicyRow(queries, name, which, key),
      (policy) => policy !== undefined,
    )
  }

  putAuthority(authority: CertificateAuthority): Promise<void> {
    return this.#changed((queries) => putAuthorityRow(queries, authority, this.#clock.nowMs()))
  }

  deleteAuthority(name: string): Promise<boolean> {
    return this.#changed(
      (queries) => deleteAuthorityRow(queries, name),
      (deleted) => deleted,
    )
  }

  #changed<T>(change: (queries: Queries) => Promise<T>, isChange: (result: T) => boolean = () => true): Promise<T> {
    return this.#database.transaction(async (queries) => {
      const result = await change(queries)
      if (isChange(result)) await notifyTrust(queries)
      return result
    })
  }
}
