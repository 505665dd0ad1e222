/** What a registration is judged by, read for many devices at once; groups, hubs and authorities stay in memory until one changes. */

import type { Changes } from '#control/store/changes.ts'
import type { Database } from '#control/store/database.ts'
import type { CertificateAuthority, TrustSource } from '#control/trust/trust.ts'
import { CallBatches } from '#runtime/call-batches.ts'
import { limits } from '#schemas/limits.ts'
import type { Hub, LinkedHub } from './allocation.ts'
import { type Enrolment, idKey } from './enrolment.ts'
import { enrolmentRows } from './enrolment-rows.ts'
import { linkedHubRows } from './linked-hub-rows.ts'
import type { Registration } from './registration.ts'
import { registrationRows } from './registration-rows.ts'

/** What all devices have in common. */
export interface Standing {
  readonly revision: number
  readonly groups: readonly Enrolment[]
  /** All, this hub among them. */
  readonly hubs: readonly Hub[]
  readonly linkedHubs: readonly LinkedHub[]
}

export interface Known extends Standing {
  /** The device's own. */
  readonly individual: Enrolment | undefined
  readonly registration: Registration | undefined
}

export class KnownEnrolments {
  readonly #database: Database
  readonly #ownHub: Hub
  readonly #trust: TrustSource
  readonly #batches: CallBatches<string, Known>
  readonly #unwatch: () => void
  #standing: Standing | undefined
  #authorities: Promise<readonly CertificateAuthority[]> | undefined

  constructor(database: Database, changes: Changes, trust: TrustSource, hubName: string) {
    this.#database = database
    this.#trust = trust
    this.#ownHub = { hostName: hubName, weight: 1 }
    this.#batches = new CallBatches({ run: (ids) => this.#read(ids), countMax: limits.registrationsAtOnceMax })
    this.#unwatch = changes.onChange(({ kind }) => {
      if (kind === 'trust' || kind === 'resync') this.#authorities = undefined
    })
  }

  /** Look-ups made while one is under way travel together. */
  of(registrationId: string): Promise<Known> {
    return this.#batches.call(idKey(registrationId))
  }

  authorities(): Promise<readonly CertificateAuthority[]> {
    this.#authorities ??= this.#trust.trust().then(
      ({ authorities }) => authorities,
      (error) => {
        this.#authorities = undefined
        throw error
      },
    )
    return this.#authorities
  }

  /** Of the last look-up. */
  isGroupInForce(groupId: string): boolean {
    return this.#standing?.groups.some(({ id, isEnabled }) => isEnabled && idKey(id) === groupId) ?? false
  }

  close(): void {
    this.#unwatch()
  }

  async #read(ids: readonly string[]): Promise<Known[]> {
    const standing = await this.#current()
    const individuals = new Map(
      (await enrolmentRows(this.#database, 'individual', ids)).map((each) => [idKey(each.id), each]),
    )
    const registrations = new Map(
      (await registrationRows(this.#database, ids)).map((each) => [idKey(each.registrationId), each]),
    )
    return ids.map((id) => ({ ...standing, individual: individuals.get(id), registration: registrations.get(id) }))
  }

  /** The number is written in the transaction of each change: what a look-up after that finds is never older. */
  async #current(): Promise<Standing> {
    const [row] = await this.#database.query<{ revision: number }>(
      'SELECT revision::float8 AS revision FROM penstock.provisioning',
    )
    const revision = row?.revision ?? 0
    if (this.#standing?.revision !== revision) {
      const groups = await enrolmentRows(this.#database, 'group', [])
      const linkedHubs = await linkedHubRows(this.#database)
      const isOwnListed = linkedHubs.some(({ hostName }) => hostName === this.#ownHub.hostName)
      this.#standing = { revision, groups, linkedHubs, hubs: isOwnListed ? linkedHubs : [this.#ownHub, ...linkedHubs] }
    }
    return this.#standing
  }
}
