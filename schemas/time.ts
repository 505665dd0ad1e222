/** A day of UTC, which has no leap seconds here. */
export const dayMs = 86_400_000

/** Number of the UTC day since 1970: rows of one day lie in one partition of the table. */
export function utcDayOf(atMs: number): number {
  return Math.floor(atMs / dayMs)
}

/** `$enqueuedTime` as the hub writes it: seven digits of a second, so that moments compare as their texts do. */
export function enqueuedTimeText(enqueuedAtMs: number): string {
  return new Date(enqueuedAtMs).toISOString().replace('Z', '0000Z')
}
