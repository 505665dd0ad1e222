/** Coefficients that are costs can't be below zero; with few of them, going round and round is exact enough and needs no algebra. */
const roundsMax = 200_000
const changeShareMin = 1e-10

/**
 * The x ≥ 0 that makes the squares of A·x − b least, by coordinate descent: each coefficient in turn takes its best value while the
 * others stay. The order of columns and their scale do not matter. Cost: rounds × rows × columns.
 * @param rows A, all of one length @param values b
 */
export function nonNegativeLeastSquares(rows: readonly (readonly number[])[], values: readonly number[]): number[] {
  const columns = rows[0]?.length ?? 0
  const squares = Array.from({ length: columns }, (_, column) =>
    rows.reduce((sum, row) => sum + (row[column] ?? 0) ** 2, 0),
  )
  const x = squares.map(() => 0)
  const rest = [...values]
  for (let round = 0; round < roundsMax; round++) {
    let isMoving = false
    for (const [column, square] of squares.entries()) {
      if (square === 0) continue
      const slope = rows.reduce((sum, row, index) => sum + (row[column] ?? 0) * (rest[index] ?? 0), 0)
      const before = x[column] ?? 0
      const after = Math.max(0, before + slope / square)
      if (Math.abs(after - before) <= changeShareMin * Math.max(after, before)) continue
      isMoving = true
      x[column] = after
      for (const [index, row] of rows.entries())
        rest[index] = (rest[index] ?? 0) - (after - before) * (row[column] ?? 0)
    }
    if (!isMoving) break
  }
  return x
}
