/** Drops what was set first, until no more than `countMax` entries are left. An entry that is set again keeps its place, unless it is deleted before. */
export function forgetOldest<K>(map: Map<K, unknown>, countMax: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= countMax) return
    map.delete(oldest)
  }
}
