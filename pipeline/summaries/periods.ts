/** Times in seconds since 1970; the end is not part of it. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** Rows of `penstock.telemetry` by the period that they are of: its start in seconds since 1970. */
export type RowCounts = ReadonlyMap<number, number>

export const minute = 60
export const hour = 3_600
export const day = 86_400

/** The beginning of the period that a moment is in. */
export function floored(moment: number, seconds: number): number {
  return Math.floor(moment / seconds) * seconds
}

/** What of these ranges lies within another, in order, those that touch as one. */
export function clipped(ranges: readonly Range[], { from, to }: Range): Range[] {
  const inside = ranges
    .map((range) => ({ from: Math.max(range.from, from), to: Math.min(range.to, to) }))
    .filter((range) => range.from < range.to)
    .sort((one, other) => one.from - other.from)
  const result: { from: number; to: number }[] = []
  for (const range of inside) {
    const before = result.at(-1)
    if (before && range.from <= before.to) before.to = Math.max(before.to, range.to)
    else result.push(range)
  }
  return result
}

/** What one statement computes. */
export interface Run extends Range {
  /** Those of its periods that are due. */
  readonly counts: readonly (readonly [start: number, rows: number])[]
}

export interface RunLimits {
  /** Rows of a run, unless it is a single period. */
  readonly rowsMax: number
  /** Rows of periods in between that are not due: cheaper than another statement. */
  readonly gapRowsMax: number
}

/**
 * Periods that are due, in as few runs as the limits allow.
 * @param found rows of all periods
 * @param due those that are due
 */
export function runsOf(found: RowCounts, due: RowCounts, seconds: number, { rowsMax, gapRowsMax }: RunLimits): Run[] {
  const runs: { from: number; to: number; rows: number; counts: [number, number][] }[] = []
  let gapRows = 0
  for (const [start, rows] of [...found].sort(([one], [other]) => one - other)) {
    if (!due.has(start)) {
      gapRows += rows
      continue
    }
    const before = runs.at(-1)
    if (before && gapRows <= gapRowsMax && before.rows + gapRows + rows <= rowsMax) {
      before.to = start + seconds
      before.rows += gapRows + rows
      before.counts.push([start, rows])
    } else runs.push({ from: start, to: start + seconds, rows, counts: [[start, rows]] })
    gapRows = 0
  }
  return runs
}
