import type { Database } from '#control/store/database.ts'
import { deleteQuotaRow, putQuotaRow, quotaRows } from './quota-rows.ts'
import type { QuotaOverride, QuotaStore } from './quotas.ts'

/** Quotas over the control store, which belongs to the caller. */
export class SqlQuotas implements QuotaStore {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  quotas(): Promise<QuotaOverride[]> {
    return quotaRows(this.#database)
  }

  putQuota(quota: QuotaOverride): Promise<void> {
    return this.#database.transaction((queries) => putQuotaRow(queries, quota))
  }

  deleteQuota(deviceId: string): Promise<void> {
    return deleteQuotaRow(this.#database, deviceId)
  }
}
