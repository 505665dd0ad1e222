/** `penstock verify`: the log against ClickHouse, or against endpoints; exit code 1 if something is missing or double, or not all was read. */
import { openRoleLog, workerGroup } from '#infra/roles/open-role-log.ts'
import { openRoleWarehouse } from '#infra/roles/open-role-warehouse.ts'
import { isVerified, type PartitionVerdict, renderVerdicts, verify } from '#pipeline/operate/verify.ts'
import { dependentViews, renderViews } from '#pipeline/sinks/clickhouse/dependent-views.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { createLogger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { type Command, write } from './command.ts'
import { verifyEndpoints } from './verify-endpoints.ts'

const usage = `penstock verify [--endpoint <name> | --endpoints] [--json]

                     the log against penstock.telemetry
  --endpoint <name>  the log, as today's routes select, against what an endpoint holds
  --endpoints        the same for each of them
  --json             as data
`

export const verifyCommand: Command = { usage, run: runVerify }

/** @throws CONTROL_COMMAND_INVALID */
export async function runVerify(settings: Settings, args: readonly string[] = []): Promise<number> {
  const kinds = { endpoint: 'value', endpoints: 'bare', json: 'bare' } as const
  const { words, flags } = argumentsOf(args, kinds, invalid)
  if (words.length > 0 || (flags.has('endpoint') && flags.has('endpoints'))) throw invalid('that is not understood')
  const asJson = flags.has('json')
  if (flags.has('endpoint') || flags.has('endpoints')) return verifyEndpoints(settings, flags.get('endpoint'), asJson)
  return verifyTelemetry(settings, asJson)
}

async function verifyTelemetry(settings: Settings, asJson: boolean): Promise<number> {
  const logger = createLogger('verify', settings.logLevel)
  const log = await openRoleLog(settings, logger)
  const deadLetters = await openRoleLog(settings, logger, 'dead-letters')
  const warehouse = openRoleWarehouse(settings)
  try {
    const verdicts = await verify({ log, group: workerGroup(settings), warehouse, deadLetters })
    write(asJson ? jsonOf(verdicts) : `${renderVerdicts(verdicts)}${await viewsText(warehouse)}`)
    return isVerified(verdicts) ? 0 : 1
  } finally {
    await Promise.all([log.close(), deadLetters.close(), warehouse.close()])
  }
}

function jsonOf(partitions: readonly PartitionVerdict[]): string {
  return JSON.stringify({ isVerified: isVerified(partitions), partitions }, undefined, 2)
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

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
