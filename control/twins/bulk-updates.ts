import type { TwinItem } from '#control/identities/identities.ts'
import type { Queries } from '#control/store/database.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { twinPatchFrom } from './twin-document.ts'
import type { Twins, TwinUpdate } from './twins.ts'

/** Twins among the operations of a bulk request, inside its transaction. */
export async function updateTwins(
  twins: Pick<Twins, 'updateWithin'>,
  queries: Queries,
  items: readonly TwinItem[],
): Promise<readonly (Error | undefined)[]> {
  const outcomes: (Error | undefined)[] = items.map(() => undefined)
  const updates: TwinUpdate[] = []
  const places: number[] = []
  for (const [index, { id, document, etag }] of items.entries()) {
    try {
      updates.push({ id, patch: twinPatchFrom(document), ifMatch: etag })
      places.push(index)
    } catch (error) {
      if (!isPenstockError(error)) throw error
      outcomes[index] = error
    }
  }
  for (const [index, outcome] of (await twins.updateWithin(queries, updates)).entries())
    outcomes[places[index] ?? 0] = outcome
  return outcomes
}
