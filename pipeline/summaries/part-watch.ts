import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'

/** A partition of `penstock.telemetry`, which is a day or longer. */
export interface TablePartition {
  readonly id: string
  /** All its rows, as of this look. */
  readonly rows: number
  /** Times of its rows, in whole seconds around them. */
  readonly fromMs: number
  readonly toMs: number
  /** Rows that came since the last look are not older than this; `undefined`: none came. */
  readonly newFromMs: number | undefined
}

export interface PartLook {
  readonly partitions: readonly TablePartition[]
  /** ClickHouse's clock. */
  readonly nowMs: number
  /** What this look found is dealt with: the next one tells of later rows only. */
  settle(): void
}

/** Numbers of blocks, first and last: a part holds the rows of inserts with such numbers. */
type Blocks = readonly [first: number, last: number]

interface Part {
  readonly partition: string
  /** Numbers are given as parts become visible, so what was not there at one look never appears below the highest. On replicas it may. */
  readonly isNumberedInOrder: boolean
  readonly blocks: Blocks
  readonly fromMs: number
  readonly toMs: number
  readonly rows: number
}

/**
 * Finds where `penstock.telemetry` has rows that it had not before, whenever they were sent, without reading any of them: by the numbers of
 * blocks in its parts. Each insert has a number of its own in its partition, and a merge keeps those of what it merges. What is remembered is
 * of parts that exist, so it is bounded as these are.
 *
 * The rows of a merged part cannot be told apart, so the time that is told may lie earlier than that of the new rows.
 */
export class PartWatch {
  readonly #warehouse: Warehouse
  #seen = new Map<string, readonly Blocks[]>()

  constructor(warehouse: Warehouse) {
    this.#warehouse = warehouse
  }

  /** At first all rows are new. @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
  async look(): Promise<PartLook> {
    const rows = await this.#warehouse.query(
      'SELECT partition_id, engine, min_block_number AS first, max_block_number AS last, toUnixTimestamp(min_time) AS from_s, ' +
        'toUnixTimestamp(max_time) AS to_s, rows, toUnixTimestamp64Milli(now64(3)) AS now_ms FROM system.parts ' +
        `WHERE active AND database = '${warehouseDatabase}' AND table = 'telemetry' ` +
        "UNION ALL SELECT '', '', 0, 0, 0, 0, 0, toUnixTimestamp64Milli(now64(3))",
    )
    const byPartition = new Map<string, Part[]>()
    for (const part of rows.filter(({ partition_id }) => partition_id !== '').map(partFromRow)) {
      const own = byPartition.get(part.partition) ?? []
      byPartition.set(part.partition, [...own, part])
    }
    return {
      nowMs: numberOf(rows[0]?.now_ms),
      partitions: [...byPartition].map(([id, own]) => this.#partition(id, own)),
      settle: () => {
        this.#seen = new Map([...byPartition].map(([id, own]) => [id, seenOf(own)]))
      },
    }
  }

  #partition(id: string, parts: readonly Part[]): TablePartition {
    const seen = this.#seen.get(id) ?? []
    const added = parts.filter(({ blocks: [first, last] }) => !seen.some(([from, to]) => from <= first && last <= to))
    return {
      id,
      rows: parts.reduce((sum, { rows }) => sum + rows, 0),
      fromMs: Math.min(...parts.map(({ fromMs }) => fromMs)),
      toMs: Math.max(...parts.map(({ toMs }) => toMs)),
      newFromMs: added.length === 0 ? undefined : Math.min(...added.map(({ fromMs }) => fromMs)),
    }
  }
}

function partFromRow(row: Readonly<Record<string, unknown>>): Part {
  const blocks: Blocks = [numberOf(row.first), numberOf(row.last)]
  assert(blocks[0] <= blocks[1], `the blocks of a part are ${blocks[0]} to ${blocks[1]}`)
  return {
    partition: String(row.partition_id),
    isNumberedInOrder: row.engine === 'MergeTree',
    blocks,
    fromMs: numberOf(row.from_s) * 1_000,
    toMs: numberOf(row.to_s) * 1_000 + 999,
    rows: numberOf(row.rows),
  }
}

function numberOf(value: unknown): number {
  const number = Number(value)
  assert(value !== undefined && Number.isSafeInteger(number), `ClickHouse numbers its parts, and not ${value}`)
  return number
}

/** Blocks side by side as one, since a merge may join them; in a table of one server those with a gap between them, too. */
function seenOf(parts: readonly Part[]): Blocks[] {
  const sorted = parts.toSorted(({ blocks: [one] }, { blocks: [other] }) => one - other)
  const seen: [number, number][] = []
  for (const { blocks, isNumberedInOrder } of sorted) {
    const before = seen.at(-1)
    if (before && (isNumberedInOrder || blocks[0] <= before[1] + 1)) before[1] = Math.max(before[1], blocks[1])
    else seen.push([...blocks])
  }
  return seen
}
