import type { RoutingStore } from '#control/routes/routes.ts'
import type { Logger } from '#runtime/logger.ts'
import { deliveredTopics, groupOnTopic } from '#schemas/log-topics.ts'
import { replayGroup, replayGroupPrefix } from '#schemas/routing/replay.ts'
import { endpointGroup, endpointGroupPrefix } from '#schemas/routing/routing.ts'
import type { Settings } from '#schemas/settings.ts'
import type { EndpointRetention } from './log-retention.ts'

/**
 * Which endpoints keep the log from forgetting what they lack: those that say `whenBehind: hold`, for as long as they are there; and the replays
 * into them, until they end.
 */
export function endpointRetention(settings: Settings, logger: Logger): EndpointRetention & { close(): Promise<void> } {
  let opening: Promise<RoutingStore> | undefined
  return {
    expiringPrefixes: [endpointGroupPrefix(settings.topicPrefix), replayGroupPrefix(settings.topicPrefix)],
    async heldBy() {
      opening ??= openStore(settings, logger).catch((error: unknown) => {
        opening = undefined
        throw error
      })
      const store = await opening
      const { document } = await store.read()
      const holding = document.endpoints.filter(({ whenBehind }) => whenBehind === 'hold')
      const replays = (await store.replays()).filter(
        ({ replay, ended }) => ended === undefined && holding.some(({ name }) => name === replay.endpoint),
      )
      return [
        ...holding.map((endpoint) => endpointGroup(settings.topicPrefix, endpoint)),
        ...replays.map(({ replay }) => replayGroup(settings.topicPrefix, replay)),
      ].flatMap((group) => deliveredTopics.map((topic) => groupOnTopic(group, topic)))
    },
    close: async () => (await opening?.catch(() => undefined))?.close(),
  }
}

/** Loads what reads routes with the first look: a worker is ready before. */
async function openStore(settings: Settings, logger: Logger): Promise<RoutingStore> {
  const { openRoutingStore } = await import('#control/open-routing.ts')
  return openRoutingStore({ ...settings, logger })
}
