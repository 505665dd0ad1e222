/** What services read over AMQP: the topics of the log, those that are written. */
import { controlSettings } from '#control/control-settings.ts'
import type { Log } from '#pipeline/log/log.ts'
import { type HubSource, LazyHubs } from '#pipeline/reading/lazy-hubs.ts'
import { showEvents, showMessages } from '#pipeline/reading/show-record.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Settings } from '#schemas/settings.ts'
import { eventsWanted, twinEventsWanted } from './events.ts'
import { openRoleLog } from './open-role-log.ts'

/** @param telemetry the edge's own log, owned by the caller */
export function openRoleHubs(settings: Settings, telemetry: Log, logger: Logger): LazyHubs {
  const blocks = new BlockReader()
  const { hostName } = controlSettings(settings)
  const open = (topic: 'events' | 'twin-events') => (): Promise<Log> => openRoleLog(settings, logger, topic)
  const sources: Record<string, HubSource> = {
    telemetry: { log: telemetry, show: showMessages(blocks) },
    ...(eventsWanted(settings) && { events: { log: open('events'), show: showEvents(blocks, hostName) } }),
    ...(twinEventsWanted(settings) && { 'twin-events': { log: open('twin-events'), show: showMessages(blocks) } }),
  }
  return new LazyHubs({ sources, clock: systemClock, logger })
}
