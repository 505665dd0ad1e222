/**
 * The newest row of each device, copied from rows that came since the last time. Its time is its version, so a row that is copied twice, or
 * late, changes nothing.
 */
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import { Computed } from './computed.ts'
import type { PartLook, TablePartition } from './part-watch.ts'
import { day, floored } from './periods.ts'

export class LatestRows {
  readonly #warehouse: Warehouse
  readonly #computed: Computed
  /** Of how many rows of a partition they were copied, by the day of its last row, as it is noted for the next start. */
  #noted: Map<number, number> | undefined

  constructor(warehouse: Warehouse) {
    this.#warehouse = warehouse
    this.#computed = new Computed(warehouse, 'latest')
  }

  /** @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
  async compute({ partitions }: PartLook, signal: AbortSignal): Promise<void> {
    const noted = this.#noted ?? (await this.#readNoted())
    const isChanged = (partition: TablePartition): boolean =>
      this.#noted === undefined ? noted.get(dayOf(partition)) !== partition.rows : partition.newFromMs !== undefined
    for (const partition of partitions.filter(isChanged)) {
      if (signal.aborted) return
      await this.#warehouse.command(latestStatement(partition.newFromMs ?? partition.fromMs, partition.toMs))
    }
    this.#noted = await this.#note(partitions, noted)
  }

  async #readNoted(): Promise<Map<number, number>> {
    return new Map(await this.#computed.counts(day, { from: 0, to: 0xffff_ffff }))
  }

  /** The newest partition changes all the time. After a start it is read whole, the others only where they are not noted as they are. */
  async #note(partitions: readonly TablePartition[], noted: Map<number, number>): Promise<Map<number, number>> {
    const newest = Math.max(...partitions.map(dayOf))
    const counts = partitions.map((partition) => [dayOf(partition), partition.rows] as const)
    const kept = counts.filter(([start]) => start < newest)
    await this.#computed.note(
      day,
      kept.filter(([start, rows]) => noted.get(start) !== rows),
    )
    return new Map(kept)
  }
}

function dayOf({ toMs }: TablePartition): number {
  return floored(toMs / 1_000, day)
}

/** The newest time of each device first, from two columns; then only rows of such times are read whole. */
function latestStatement(fromMs: number, toMs: number): string {
  const telemetry = `${warehouseDatabase}.telemetry`
  const within = `enqueued_at >= fromUnixTimestamp64Milli(${fromMs}) AND enqueued_at <= fromUnixTimestamp64Milli(${toMs})`
  return (
    `INSERT INTO ${warehouseDatabase}.latest_versions (device_id, enqueued_at, body, properties, system_properties) ` +
    `SELECT device_id, enqueued_at, body, properties, system_properties FROM ${telemetry} ` +
    `PREWHERE ${within} AND (device_id, enqueued_at) IN (` +
    `SELECT device_id, max(enqueued_at) FROM ${telemetry} WHERE ${within} GROUP BY device_id) ` +
    // Of several messages of one millisecond one is enough.
    'LIMIT 1 BY device_id SETTINGS max_threads = 1, max_insert_threads = 1'
  )
}
