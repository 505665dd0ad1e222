import { openRoutingStore } from '#control/open-routing.ts'
import type { RoutingStore } from '#control/routes/routes.ts'
import type { Logger } from '#runtime/logger.ts'
import { endpointGroup, endpointGroupPrefix } from '#schemas/routing/routing.ts'
import type { Settings } from '#schemas/settings.ts'
import type { EndpointRetention } from './log-retention.ts'

/** Which endpoints keep the log from forgetting what they lack: those that say `whenBehind: hold`, for as long as they are there. */
export function endpointRetention(settings: Settings, logger: Logger): EndpointRetention & { close(): Promise<void> } {
  let opening: Promise<RoutingStore> | undefined
  return {
    expiringPrefix: endpointGroupPrefix(settings.topicPrefix),
    async heldBy() {
      opening ??= openRoutingStore({ ...settings, logger }).catch((error: unknown) => {
        opening = undefined
        throw error
      })
      const { document } = await (await opening).read()
      return document.endpoints
        .filter(({ whenBehind }) => whenBehind === 'hold')
        .flatMap((endpoint) => {
          const group = endpointGroup(settings.topicPrefix, endpoint)
          return [group, `${group}-events`]
        })
    },
    close: async () => (await opening?.catch(() => undefined))?.close(),
  }
}
