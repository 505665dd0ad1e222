/** A day of UTC, which has no leap seconds here. */
export const dayMs = 86_400_000

/** Number of the UTC day since 1970: rows of one day lie in one partition of the table. */
export function utcDayOf(atMs: number): number {
  return Math.floor(atMs / dayMs)
}
