import type { IfMatch } from '#control/identities/identities.ts'
import type { Database } from '#control/store/database.ts'
import type { Clock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Enrolment, EnrolmentKind } from './enrolment.ts'
import { checkEtag, deleteEnrolmentRow, enrolmentRow, enrolmentRowsAfter, putEnrolmentRow } from './enrolment-rows.ts'
import type { ContentOf, Enrolments } from './provisioning.ts'

/** Enrolments over the control store, which belongs to the caller. */
export class SqlEnrolments implements Enrolments {
  readonly #database: Database
  readonly #clock: Clock

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  get(kind: EnrolmentKind, id: string): Promise<Enrolment | undefined> {
    return enrolmentRow(this.#database, kind, id)
  }

  put(kind: EnrolmentKind, id: string, ifMatch: IfMatch, contentOf: ContentOf): Promise<Enrolment> {
    return this.#database.transaction(async (queries) => {
      const before = await enrolmentRow(queries, kind, id, 'FOR UPDATE')
      if (before !== undefined) checkEtag(before, ifMatch)
      else if (ifMatch !== undefined) throw enrolmentUnknown(id)
      return putEnrolmentRow(queries, contentOf(before), before, this.#clock.nowMs())
    })
  }

  delete(kind: EnrolmentKind, id: string, ifMatch: IfMatch): Promise<void> {
    return this.#database.transaction(async (queries) => {
      const before = await enrolmentRow(queries, kind, id, 'FOR UPDATE')
      if (before === undefined) throw enrolmentUnknown(id)
      checkEtag(before, ifMatch)
      await deleteEnrolmentRow(queries, kind, id)
    })
  }

  after(kind: EnrolmentKind, after: string, countMax: number): Promise<Enrolment[]> {
    return enrolmentRowsAfter(this.#database, kind, after, countMax)
  }
}

export function enrolmentUnknown(id: string): PenstockError {
  return new PenstockError('PROVISIONING_ENROLMENT_UNKNOWN', `no enrolment ${JSON.stringify(id.slice(0, 128))}`)
}
