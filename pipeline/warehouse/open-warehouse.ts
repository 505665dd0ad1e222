import { ClickhouseWarehouse } from './clickhouse-warehouse.ts'
import type { Warehouse, WarehouseOptions } from './warehouse.ts'

/** Opens a client of the warehouse. Nothing is sent until the first call; use `ping` to see whether the warehouse is there. */
export function openWarehouse(options: WarehouseOptions): Warehouse {
  return new ClickhouseWarehouse(options)
}
