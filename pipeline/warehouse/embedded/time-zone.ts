import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PenstockError } from '#schemas/errors.ts'

const ownProbe = fileURLToPath(new URL('./time-zone-probe.ts', import.meta.url))
const probeMsMax = 60_000

/**
 * The engine takes its time zone from `TZ`, and does not open if it does not know the zone. Node would go on in UTC. Names that every
 * time-zone database has are accepted. For other names only the engine knows what it accepts (`UTC0`, but neither `CET-1CEST` nor `utc`).
 * So the engine is asked, in a process of its own, which takes half a second.
 * @throws SETTINGS_INVALID
 */
export function checkTimeZone(zone: string | undefined, probe = ownProbe): void {
  if (!zone || zone === 'UTC' || Intl.supportedValuesOf('timeZone').includes(zone)) return
  // If anything else keeps the engine from opening, the engine's own process reports it.
  if (exitCodeIn(zone, probe) !== 1 || exitCodeIn('UTC', probe) !== 0) return
  throw new PenstockError(
    'SETTINGS_INVALID',
    `TZ=${zone} is no time zone that the embedded engine knows; name one as Europe/Berlin, or unset it`,
  )
}

/** Null where it crashed, or did not end. */
function exitCodeIn(zone: string, probe: string): number | null {
  const folder = join(tmpdir(), `penstock-zone-${randomUUID()}`)
  const env = { PATH: process.env.PATH, TZ: zone }
  const bounds = { timeout: probeMsMax, killSignal: 'SIGKILL' } as const
  const { status } = spawnSync(process.execPath, [probe, folder], { stdio: 'ignore', env, ...bounds })
  rmSync(folder, { recursive: true, force: true })
  return status
}
