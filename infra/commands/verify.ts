/** `penstock verify`: the log against ClickHouse; exit code 1 if a row is missing or double, or not all was read. */
import { openRoleLog, workerGroup } from '#infra/roles/open-role-log.ts'
import { openRoleWarehouse } from '#infra/roles/open-role-warehouse.ts'
import { isVerified, renderVerdicts, verify } from '#pipeline/operate/verify.ts'
import { dependentViews, renderViews } from '#pipeline/sinks/clickhouse/dependent-views.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { createLogger } from '#runtime/logger.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { type Command, write } from './command.ts'

export const verifyCommand: Command = { run: runVerify }

export async function runVerify(settings: Settings): Promise<number> {
  const logger = createLogger('verify', settings.logLevel)
  const log = await openRoleLog(settings, logger)
  const deadLetters = await openRoleLog(settings, logger, 'dead-letters')
  const warehouse = openRoleWarehouse(settings)
  try {
    const verdicts = await verify({ log, group: workerGroup(settings), warehouse, deadLetters })
    write(`${renderVerdicts(verdicts)}${await viewsText(warehouse)}`)
    return isVerified(verdicts) ? 0 : 1
  } finally {
    await Promise.all([log.close(), deadLetters.close(), warehouse.close()])
  }
}

/** What hangs on the rows that were verified. Who runs this may not be allowed to look. */
async function viewsText(warehouse: Warehouse): Promise<string> {
  try {
    return renderViews('telemetry', await dependentViews(warehouse, 'telemetry'))
  } catch (error) {
    if (!isPenstockError(error)) throw error
    return `whether materialized views lack rows is not known: ${error.message}\n`
  }
}
