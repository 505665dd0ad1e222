import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import type { Settings } from '#schemas/settings.ts'

const requestMsMax = 120_000

/** A client of the warehouse that the settings choose: a ClickHouse server, or the embedded engine on its port. */
export function openRoleWarehouse(settings: Settings): Warehouse {
  return openWarehouse({
    url: settings.clickhouseUrl ?? `http://${settings.bind}:${settings.clickhousePort}`,
    user: settings.clickhouseUser,
    password: settings.clickhousePassword,
    requestMsMax,
  })
}
