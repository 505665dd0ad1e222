/** What readers of the built-in endpoint are shown where routes say so; everything for it is opened for the first of them. */
import { controlSettings } from '#control/control-settings.ts'
import { openRoutingStore } from '#control/open-routing.ts'
import { reportMs } from '#control/routes/routes.ts'
import { BuiltInEndpoint } from '#pipeline/reading/built-in-endpoint.ts'
import type { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { repeating } from '#runtime/repeating.ts'
import type { Settings } from '#schemas/settings.ts'
import { DocumentWatch } from './document-watch.ts'
import { openRoutedTwins } from './routed-twins.ts'

export interface BuiltInView {
  readonly endpoint: BuiltInEndpoint
  close(): Promise<void>
}

/** @param reader shared by a process */
export function openBuiltInView(settings: Settings, reader: BlockReader, logger: Logger): BuiltInView {
  // Connects to the control store once a route asks for a twin.
  const routedTwins = openRoutedTwins(settings, logger)
  let opening: Promise<WatchedRoutes> | undefined
  const endpoint = new BuiltInEndpoint({
    reader,
    hubName: controlSettings(settings).hostName,
    interpreted: settings.routesInterpreted === 'yes',
    twins: routedTwins.twins,
    async begin() {
      opening ??= watchRoutes(settings, endpoint, logger).catch((error: unknown) => {
        opening = undefined
        throw error
      })
      await (await opening).look()
    },
  })
  return {
    endpoint,
    async close() {
      await (await opening?.catch(() => undefined))?.close()
      await routedTwins.close()
    },
  }
}

interface WatchedRoutes {
  look(): Promise<void>
  close(): Promise<void>
}

/** @throws STORE_UNAVAILABLE, STORE_SCHEMA_UNKNOWN */
async function watchRoutes(settings: Settings, endpoint: BuiltInEndpoint, logger: Logger): Promise<WatchedRoutes> {
  const store = await openRoutingStore({ ...settings, logger })
  // As it is kept: who only selects needs no secret of an endpoint.
  const watch = new DocumentWatch(endpoint, { store, inForce: () => store.read() }, logger)
  // What the store could not say when it was asked is asked again.
  const endLooking = repeating(systemClock, async () => {
    await watch.look()
    return reportMs
  })
  return {
    look: () => watch.look(),
    async close() {
      await endLooking()
      await watch.close()
      await store.close()
    },
  }
}
