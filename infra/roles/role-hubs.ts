/** What services read over AMQP: the topics of the log, those that are written. */
import { controlSettings } from '#control/control-settings.ts'
import type { Log } from '#pipeline/log/log.ts'
import { type HubSource, LazyHubs } from '#pipeline/reading/lazy-hubs.ts'
import { type RecordView, showEvents, showMessages } from '#pipeline/reading/show-record.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { DeliveredTopic } from '#schemas/log-topics.ts'
import type { Settings } from '#schemas/settings.ts'
import { openBuiltInView } from './built-in-view.ts'
import { eventsWanted, twinEventsWanted } from './events.ts'
import { openRoleLog } from './open-role-log.ts'

export interface RoleHubs {
  readonly hubs: LazyHubs
  close(): Promise<void>
}

/** @param telemetry the edge's own log, owned by the caller */
export function openRoleHubs(settings: Settings, telemetry: Log, logger: Logger): RoleHubs {
  const blocks = new BlockReader()
  const { hostName } = controlSettings(settings)
  const open = (topic: 'events' | 'twin-events') => (): Promise<Log> => openRoleLog(settings, logger, topic)
  const routed = settings.builtInEndpoint === 'routed' ? openBuiltInView(settings, blocks, logger) : undefined
  const view = (topic: DeliveredTopic): RecordView =>
    routed?.endpoint.view(topic) ?? (topic === 'events' ? showEvents(blocks, hostName) : showMessages(blocks))
  const sources: Record<string, HubSource> = {
    telemetry: { log: telemetry, view: view('telemetry') },
    ...(eventsWanted(settings) && { events: { log: open('events'), view: view('events') } }),
    ...(twinEventsWanted(settings) && { 'twin-events': { log: open('twin-events'), view: view('twin-events') } }),
  }
  const hubs = new LazyHubs({ sources, clock: systemClock, logger })
  return {
    hubs,
    async close() {
      await hubs.close()
      await routed?.close()
    },
  }
}
