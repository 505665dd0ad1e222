import type { IfMatch } from '#control/identities/identities.ts'
import type { Database } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { lockIds } from './assign-here.ts'
import { checkEtag } from './enrolment-rows.ts'
import type { Registrations } from './provisioning.ts'
import type { Registration } from './registration.ts'
import {
  deleteRegistrationRow,
  lockedRegistrationRow,
  registrationRows,
  registrationRowsOfGroup,
} from './registration-rows.ts'

/** Registrations over the control store, which belongs to the caller. */
export class SqlRegistrations implements Registrations {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async get(registrationId: string): Promise<Registration | undefined> {
    return (await registrationRows(this.#database, [registrationId]))[0]
  }

  delete(registrationId: string, ifMatch: IfMatch): Promise<void> {
    return this.#database.transaction(async (queries) => {
      // Else one that is being written anew would stay.
      await lockIds(queries, [registrationId])
      const registration = await lockedRegistrationRow(queries, registrationId)
      if (registration === undefined) throw registrationUnknown(registrationId)
      checkEtag(registration, ifMatch)
      await deleteRegistrationRow(queries, registrationId)
    })
  }

  ofGroup(groupId: string, after: string, countMax: number): Promise<Registration[]> {
    return registrationRowsOfGroup(this.#database, groupId, after, countMax)
  }
}

export function registrationUnknown(id: string): PenstockError {
  return new PenstockError('PROVISIONING_REGISTRATION_UNKNOWN', `${JSON.stringify(id.slice(0, 128))} is not registered`)
}
