/** Twins of senders for who evaluates routes: read from the control store once a route asks for them, and kept up to date. */
import { controlSettings } from '#control/control-settings.ts'
import { type OpenedTwins, openWholeTwins } from '#control/open-edge-control.ts'
import type { Log } from '#pipeline/log/log.ts'
import { SenderTwins, type TwinReader } from '#pipeline/routing/select/sender-twins.ts'
import { followTwinChanges } from '#pipeline/workers/routed/twin-changes.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type IdentityId, identityFromText, identityText, isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { Settings } from '#schemas/settings.ts'
import { twinEventsWanted } from './events.ts'
import { tellSupervisor } from './role-process.ts'

export interface RoutedTwins {
  readonly twins: SenderTwins
  close(): Promise<void>
}

/** @param changes the topic of twin events; left out: what is read is kept as long as without being told of changes */
export function openRoutedTwins(settings: Settings, logger: Logger, changes?: Log): RoutedTwins {
  const reader = new DirectoryTwins(settings, logger)
  const hears = changes !== undefined && twinEventsWanted(settings)
  const ageMsMax = hears ? limits.routedTwinAgeMsMax : limits.routedTwinAgeUntoldMsMax
  const twins = new SenderTwins({ reader, clock: systemClock, ageMsMax })
  const stopFollowing = hears ? followTwinChanges({ log: changes, twins, clock: systemClock, logger }) : undefined
  return {
    twins,
    async close() {
      await stopFollowing?.()
      await reader.close()
    },
  }
}

function mayBeKnown({ deviceId, moduleId }: IdentityId): boolean {
  return isIdentityId(deviceId) && (moduleId === undefined || isIdentityId(moduleId))
}

/** Connects when it is asked first: most routes ask for no twin. */
class DirectoryTwins implements TwinReader {
  readonly #settings: Settings
  readonly #logger: Logger
  #opening: Promise<OpenedTwins> | undefined

  constructor(settings: Settings, logger: Logger) {
    this.#settings = settings
    this.#logger = logger
  }

  async read(senders: readonly string[]): Promise<ReadonlyMap<string, unknown>> {
    // Where identities are not required, control runs only as long as somebody wants it.
    tellSupervisor('needsControl', undefined)
    const twins = await this.#opened()
    // Whoever writes the log itself may have named one that no store can hold.
    const found = await twins.whole(senders.map(identityFromText).filter(mayBeKnown))
    return new Map(found.map((twin) => [identityText(twin), JSON.parse(twin.text)]))
  }

  async close(): Promise<void> {
    const twins = await this.#opening?.catch(() => undefined)
    await twins?.close()
  }

  #opened(): Promise<OpenedTwins> {
    const { dataDir, postgresUrl } = controlSettings(this.#settings)
    this.#opening ??= openWholeTwins({ dataDir, postgresUrl, logger: this.#logger }).catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }
}
