import type { Standstill } from '#pipeline/workers/standstills.ts'

/** What stands still, in one line for anyone: how much, for how long and the code, not what the sink said. `undefined` if nothing does. */
export function standstillText(kinds: Readonly<Record<string, readonly Standstill[]>>): string | undefined {
  const parts = Object.entries(kinds).flatMap(([kind, standstills]) => {
    const [longest] = standstills
    if (!longest) return []
    const partitions = `${standstills.length} ${standstills.length === 1 ? 'partition' : 'partitions'}`
    return `${kind} in ${partitions} for ${Math.round(longest.forMs / 1_000)} s (${longest.error.code})`
  })
  return parts.length === 0 ? undefined : `delivery stands still: ${parts.join(', ')}; the worker's log says why`
}
