import { ClickhouseWarehouse } from './clickhouse-warehouse.ts'
import type { Warehouse, WarehouseOptions } from './warehouse.ts'

/** Opens a client of the warehouse. Nothing is sent until the first call, so an absent warehouse is seen by `ping`. */
export function openWarehouse(options: WarehouseOptions): Warehouse {
  return new ClickhouseWarehouse(options)
}
