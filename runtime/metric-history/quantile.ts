/**
 * The value below which this part of what a histogram counted lies, taken as spread evenly within its bucket, as Prometheus does.
 * @param quantile 0 to 1
 * @param bounds upper bounds of the buckets, growing, the last one infinite
 * @param counts how many lie at or below each bound
 * @returns NaN if nothing was counted; the last finite bound for what lies above it
 */
export function quantileOf(quantile: number, bounds: readonly number[], counts: readonly number[]): number {
  const total = counts.at(-1) ?? 0
  if (total === 0) return Number.NaN
  const rank = quantile * total
  const bucket = counts.findIndex((count) => count >= rank)
  const upper = bounds[bucket] ?? Number.NaN
  const lower = bounds[bucket - 1] ?? 0
  if (upper === Number.POSITIVE_INFINITY) return lower
  const below = counts[bucket - 1] ?? 0
  const within = (counts[bucket] as number) - below
  return within === 0 ? upper : lower + ((upper - lower) * (rank - below)) / within
}
