import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { PenstockError } from '#schemas/errors.ts'

const probe = fileURLToPath(new URL('./time-zone-probe.ts', import.meta.url))

/**
 * The engine takes its time zone from `TZ`, and does not open if it does not know the zone. Node would go on in UTC. Names that every
 * time-zone database has are accepted. For other names only the engine knows what it accepts (`UTC0`, but neither `CET-1CEST` nor `utc`).
 * So the engine is asked, in a process of its own, which takes half a second.
 * @throws SETTINGS_INVALID
 */
export function checkTimeZone(zone: string | undefined): void {
  if (!zone || zone === 'UTC' || Intl.supportedValuesOf('timeZone').includes(zone)) return
  // If anything else keeps the engine from opening, the engine's own process reports it.
  if (opensIn(zone) || !opensIn('UTC')) return
  throw new PenstockError(
    'SETTINGS_INVALID',
    `TZ=${zone} is no time zone that the embedded engine knows; name one as Europe/Berlin, or unset it`,
  )
}

function opensIn(zone: string): boolean {
  const env = { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, TZ: zone }
  return spawnSync(process.execPath, [probe], { stdio: 'ignore', env }).status === 0
}
