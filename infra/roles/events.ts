import { controlSettings } from '#control/control-settings.ts'
import type { ToldRecords } from '#control/open-registry.ts'
import { openEventWriter } from '#ingest/events/event-writer.ts'
import { forwardTwinEvents, type TwinEventForwarderOptions } from '#ingest/events/twin-event-forwarder.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { DeviceEvent } from '#schemas/device-event.ts'
import { isTold } from '#schemas/device-settings.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { openRoleLog } from './open-role-log.ts'

export interface RoleEvents {
  tell(event: DeviceEvent): void
  close(): Promise<void>
}

/** Whether devices that connect, end or change are told of. */
export function eventsWanted(settings: Settings): boolean {
  return isTold(settings.events, settings.identities)
}

/** Whether changes of twins are told of. */
export function twinEventsWanted(settings: Settings): boolean {
  return isTold(settings.twinEvents, settings.identities)
}

/** Forwards changes of twins from the control store to the log. @returns ends it; `undefined` where none are wanted */
export async function forwardRoleTwinEvents(
  settings: Settings,
  options: Omit<TwinEventForwarderOptions, 'log' | 'hubName' | 'clock'>,
): Promise<(() => Promise<void>) | undefined> {
  if (!twinEventsWanted(settings)) return undefined
  const log = await openRoleLog(settings, options.logger, 'twin-events')
  const stop = forwardTwinEvents({ ...options, log, hubName: controlSettings(settings).hostName, clock: systemClock })
  return async () => {
    await stop()
    await log.close()
  }
}

/** What a role tells device events to; `undefined` where none are wanted. @param writerId name of the process */
export async function openRoleEvents(
  settings: Settings,
  writerId: string,
  metrics: Metrics<MetricName>,
  logger: Logger,
): Promise<RoleEvents | undefined> {
  if (!eventsWanted(settings)) return undefined
  const log = await openRoleLog(settings, logger, 'events')
  const writer = openEventWriter({ log, writerId, metrics, logger })
  return {
    tell: (event) => writer.tell(event),
    close: async () => {
      await writer.close()
      await log.close()
    },
  }
}

/** Rows of what services are told; an event says when it was, as it may be told a moment later. */
export function recordsTold(events: RoleEvents | undefined): ToldRecords | undefined {
  if (events === undefined) return undefined
  return {
    onFeedback: (records) => {
      for (const { deviceId, moduleId, status, messageId, generationId, atMs } of records) {
        const details = { messageId, generationId, at: new Date(atMs).toISOString() }
        events.tell({ event: 'commandEnded', deviceId, moduleId, reason: status, details })
      }
    },
    onFileUploaded: (files) => {
      for (const { deviceId, blobName, bytes, atMs } of files) {
        const details = { blobName, bytes: String(bytes), at: new Date(atMs).toISOString() }
        events.tell({ event: 'fileUploaded', deviceId, moduleId: undefined, reason: undefined, details })
      }
    },
  }
}

const toldAtOnceMax = 5_000
const pauseMs = 50

/**
 * These were connected to an edge process that did not end in order, so nobody told of their end. In portions that fit the writer's
 * buffers many times, with pauses in which the log takes them: what does not fit is dropped.
 */
export async function tellLost(events: RoleEvents, ids: readonly IdentityId[]): Promise<void> {
  for (const [index, { deviceId, moduleId }] of ids.entries()) {
    if (index > 0 && index % toldAtOnceMax === 0) await sleep(systemClock, pauseMs)
    events.tell({ event: 'disconnected', deviceId, moduleId, reason: 'EDGE_LOST' })
  }
}
