import type { Database } from '#control/store/database.ts'
import type { LinkedHub } from './allocation.ts'
import { countStandingChange } from './enrolment-rows.ts'
import { deleteLinkedHubRow, linkedHubRows, putLinkedHubRow } from './linked-hub-rows.ts'
import { deleteIntentsOfHub } from './placement-intents.ts'
import type { LinkedHubs } from './provisioning.ts'

/** Linked hubs over the control store, which belongs to the caller. */
export class SqlLinkedHubs implements LinkedHubs {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  all(): Promise<LinkedHub[]> {
    return linkedHubRows(this.#database)
  }

  put(hub: LinkedHub): Promise<void> {
    return this.#database.transaction(async (queries) => {
      await putLinkedHubRow(queries, hub)
      await countStandingChange(queries)
    })
  }

  delete(hostName: string): Promise<void> {
    return this.#database.transaction(async (queries) => {
      await deleteLinkedHubRow(queries, hostName)
      await deleteIntentsOfHub(queries, hostName)
      await countStandingChange(queries)
    })
  }
}
