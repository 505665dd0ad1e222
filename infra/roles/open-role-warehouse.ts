import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { isLoopbackBind, urlHost } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { Settings } from '#schemas/settings.ts'
import type { TableOptions } from '#schemas/telemetry-table.ts'

const requestMsMaxDefault = 120_000

/**
 * Address that the embedded engine listens on: others may reach it only where both users have passwords, or anyone could write rows
 * in any device's name [G-6].
 */
export function engineHost(settings: Settings): string {
  const guarded = settings.clickhousePassword !== '' && settings.clickhouseReadonlyPassword !== ''
  return guarded || isLoopbackBind(settings.bind) ? settings.bind : '127.0.0.1'
}

/** Address of the warehouse that the settings choose. @param port of the embedded engine */
export function warehouseUrl(settings: Settings, port: number): string {
  return settings.clickhouseUrl ?? `http://${urlHost(engineHost(settings))}:${port}`
}

/** A client of the warehouse that the settings choose: a ClickHouse server, or the embedded engine on its port. */
export function openRoleWarehouse(settings: Settings, requestMsMax = requestMsMaxDefault): Warehouse {
  return openWarehouse({
    url: warehouseUrl(settings, settings.clickhousePort),
    user: settings.clickhouseUser,
    password: settings.clickhousePassword,
    requestMsMax,
  })
}

/** A client for work that takes long and may wait: changes of tables, and tables that are computed. Delivery does not wait for it. */
export function openTablesWarehouse(settings: Settings): Warehouse {
  return openWarehouse({
    url: warehouseUrl(settings, settings.clickhousePort),
    user: settings.clickhouseUser,
    password: settings.clickhousePassword,
    requestMsMax: limits.summaryRequestMsMax,
    application: 'penstock-tables',
  })
}

/** How tables are made. @throws SETTINGS_INVALID: without replication the servers of a cluster would each hold a part that no one else sees */
export function tableOptions(settings: Settings): TableOptions {
  const replicated = settings.clickhouseReplicated === 'yes'
  const cluster = settings.clickhouseCluster
  if (cluster !== undefined && !replicated)
    throw new PenstockError(
      'SETTINGS_INVALID',
      'PENSTOCK_CLICKHOUSE_CLUSTER needs PENSTOCK_CLICKHOUSE_REPLICATED=yes: its servers share rows by replication only',
    )
  return {
    replicated,
    cluster,
    ttlDays: settings.telemetryTtlDays,
    minutesTtlDays: settings.minutesTtlDays,
    hoursTtlDays: settings.hoursTtlDays,
  }
}
