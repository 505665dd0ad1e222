import type { ControlOptions } from '#control/open-control.ts'
import { outgoingRulesOf } from '#control/outgoing-rules.ts'
import { AzureTransferContainers } from '#pipeline/sinks/azure-blob/azure-transfer-containers.ts'
import { ClickhouseDeviceTable } from '#pipeline/sinks/clickhouse/clickhouse-device-table.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Settings } from '#schemas/settings.ts'
import { AskedLogs } from './asked-logs.ts'
import { InstallationDelivery, partMsMax } from './delivery-state.ts'
import { InstallationLetters } from './installation-letters.ts'
import { LetterBook } from './letter-book.ts'
import { openRoleLog } from './open-role-log.ts'
import { openRoleWarehouse, openTablesWarehouse, tableOptions } from './open-role-warehouse.ts'
import { replayLetters } from './replay-letters.ts'

type Parts = Required<
  Pick<ControlOptions, 'delivery' | 'deadLetters' | 'modelWarehouse' | 'deviceTable' | 'transferContainers'>
>

/** What the service API says and does of the pipeline. Nothing is opened before somebody asks. */
export function controlParts(settings: Settings, logger: Logger): { readonly parts: Parts; close(): Promise<void> } {
  const logs = new AskedLogs((topic) => openRoleLog(settings, logger, topic))
  const letters = new LetterBook(() => logs.log('dead-letters'))
  const warehouse = openRoleWarehouse(settings, partMsMax)
  // Changes of a large table take longer than people wait.
  const tables = openTablesWarehouse(settings)
  return {
    parts: {
      delivery: new InstallationDelivery({ settings, logs, letters, warehouse, clock: systemClock }),
      modelWarehouse: { warehouse: tables, tables: tableOptions(settings) },
      deadLetters: new InstallationLetters({
        topicPrefix: settings.topicPrefix,
        logs,
        book: letters,
        replayToEndpoint: (chosen) => replayLetters(settings, logger, chosen),
        clock: systemClock,
      }),
      transferContainers: new AzureTransferContainers(outgoingRulesOf(settings)),
      deviceTable: settings.deviceTable === 'kept' ? new ClickhouseDeviceTable(tables) : undefined,
    },
    close: async () => {
      await Promise.all([logs.close(), warehouse.close(), tables.close()])
    },
  }
}
