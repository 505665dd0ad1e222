import type { ModelSource } from '#control/models/models.ts'
import { keepSummaries } from '#pipeline/summaries/keep-summaries.ts'
import { LatestRows } from '#pipeline/summaries/latest-rows.ts'
import { PartWatch } from '#pipeline/summaries/part-watch.ts'
import type { RollUpModel } from '#pipeline/summaries/roll-up-sql.ts'
import { RollUps } from '#pipeline/summaries/roll-ups.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import type { ModelTable } from '#schemas/models/model.ts'
import { modelColumns } from '#schemas/models/model-sql.ts'
import type { Settings } from '#schemas/settings.ts'
import { openTablesWarehouse } from './open-role-warehouse.ts'

/** Keeps `penstock.latest`. @returns ends it; `undefined` where nobody wants it @param isChosen whether it is this worker that does */
export function keepRoleLatest(
  settings: Settings,
  isChosen: () => boolean,
  logger: Logger,
): (() => Promise<void>) | undefined {
  if (settings.latestTable === 'off') return undefined
  const warehouse = openTablesWarehouse(settings)
  const latest = new LatestRows(warehouse)
  const end = keepSummaries({
    parts: new PartWatch(warehouse),
    what: 'the newest row of each device',
    compute: (look, signal) => latest.compute(look, signal),
    isDue: isChosen,
    pauseFactor: limits.latestPauseFactor,
    clock: systemClock,
    logger,
  })
  return () => ended(end, warehouse)
}

export interface RoleRollUps {
  readonly models: ModelSource
  /** Whether it is this process that computes them. */
  readonly holds: () => Promise<boolean>
  /** Called regularly while there is something to compute. */
  readonly onActive: () => void
  readonly logger: Logger
}

/** Keeps minutes and hours of the models' numbers. @returns ends it; `undefined` where nobody wants it */
export function keepRoleRollUps(settings: Settings, options: RoleRollUps): (() => Promise<void>) | undefined {
  if (settings.rollUps === 'off') return undefined
  const { models, holds, onActive, logger } = options
  const warehouse = openTablesWarehouse(settings)
  const { telemetryTtlDays: rowDays, minutesTtlDays: minuteDays, hoursTtlDays: hourDays } = settings
  const rollUps = new RollUps(warehouse, { rowDays, minuteDays, hourDays }, logger)
  let wanted: readonly RollUpModel[] = []
  const end = keepSummaries({
    parts: new PartWatch(warehouse),
    what: 'minutes and hours of numeric fields',
    compute: (look, signal) => rollUps.compute(wanted, look, signal),
    isDue: async () => {
      wanted = (await models.models()).flatMap(rollUpOf)
      if (wanted.length > 0) onActive()
      return wanted.length > 0 && (await holds())
    },
    pauseFactor: limits.rollUpPauseFactor,
    clock: systemClock,
    logger,
  })
  return () => ended(end, warehouse)
}

/** Its numbers; nothing where it has none. */
function rollUpOf(model: ModelTable): RollUpModel[] {
  // A field that is pinned gives what it gave before.
  const meanings = new Map(modelColumns({ ...model, pins: [] }).map(({ field, expression }) => [field, expression]))
  const numbers = modelColumns(model).filter(({ isNumeric }) => isNumeric)
  const [first] = numbers
  if (first === undefined) return []
  const fields = numbers.map(({ field, expression }) => ({
    field,
    expression,
    meaning: meanings.get(field) ?? expression,
  }))
  return [{ model: model.name, guard: first.guard, fields }]
}

/** A statement may take long and may be repeated, so nobody waits for one that is under way. */
async function ended(end: () => Promise<void>, warehouse: Warehouse): Promise<void> {
  const stopped = end()
  await warehouse.close()
  await stopped
}
