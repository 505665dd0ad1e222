import type { Database, Queries } from '#control/store/database.ts'
import { lockIds, type Refusal } from './assign-here.ts'
import type { Registration } from './registration.ts'
import { lockedRegistrationRow } from './registration-rows.ts'

/**
 * Does something in a transaction, while the registration is what this operation began: what began later, at another process, is not
 * overwritten, and what was deleted does not come back.
 * @returns what `work` gives, or why it was not done
 */
export function whileBegun<Result>(
  database: Database,
  { registrationId, operationId }: Pick<Registration, 'registrationId' | 'operationId'>,
  work: (queries: Queries) => Promise<Result>,
): Promise<Result | Exclude<Refusal, 'foreign'>> {
  return database.transaction(async (queries) => {
    // Whoever gives the device to this hub meanwhile reads the row and writes it later.
    await lockIds(queries, [registrationId])
    const current = await lockedRegistrationRow(queries, registrationId)
    if (current === undefined) return 'withdrawn'
    if (current.operationId !== operationId) return 'overtaken'
    return await work(queries)
  })
}
