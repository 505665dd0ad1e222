/**
 * Puts device events on the log topic `<prefix>.events`, in batches of their own, beside telemetry and never in its way.
 *
 *   tell ─▶ open batch ── 250 ms ──▶ log          full: the event is dropped and counted [G-4]
 *
 * What a process has not yet appended when it is killed is lost; once on the log an event becomes exactly one row.
 */
import { Batcher } from '#ingest/batches/batcher.ts'
import { routeOfReading } from '#ingest/batches/route.ts'
import type { Log } from '#pipeline/log/log.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type DeviceEvent, EventSequence } from '#schemas/device-event.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'

export interface EventWriterOptions {
  /** The topic of events; the caller closes it. */
  readonly log: Log
  /** Name of this process, stable over restarts. */
  readonly writerId: string
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  readonly clock?: Clock
}

export interface EventWriter {
  /** Never throws, never waits. */
  tell(event: DeviceEvent): void
  /** Settles what was told, for a few seconds at most. */
  close(): Promise<void>
}

const batchDelayMs = 250
const drainMsMax = 5_000

export function openEventWriter(options: EventWriterOptions): EventWriter {
  const { log, logger, metrics, clock = systemClock } = options
  const written = metrics.series('penstock_events_written_total')
  const dropped = metrics.series('penstock_events_dropped_total')
  const sequence = new EventSequence()
  const batcher = new Batcher({
    log,
    edgeId: options.writerId,
    epoch: clock.nowMs(),
    clock,
    logger,
    // Its own series: batches of events are not batches of telemetry.
    metrics: new Metrics<MetricName>(metricsTable),
    batchDelayMs,
    pendingBytesMax: limits.eventsPendingBytesMax,
    onFull: (full) => {
      if (full) logger.warn('device events are dropped while the log is slow')
    },
  })
  let closed = false
  return {
    tell({ event, deviceId, moduleId, reason, modelId, details = {} }) {
      if (closed || batcher.full) {
        dropped.add(1)
        return
      }
      batcher.tick()
      const properties = new Map([
        ...Object.entries(details),
        ['event', event],
        ['sequence', sequence.next(batcher.nowMs)],
      ])
      if (reason !== undefined) properties.set('reason', reason)
      if (modelId !== undefined) properties.set('modelId', modelId)
      const systemProperties = new Map(moduleId === undefined ? [] : [['moduleId', moduleId]])
      const body = Buffer.from(JSON.stringify({ ...Object.fromEntries(properties), deviceId, moduleId }))
      const route = routeOfReading(batcher, { deviceId, properties, systemProperties })
      route.partition.write(route.frame, body, 0, body.length, undefined)
      written.add(1)
    },
    async close() {
      closed = true
      const giveUp = new AbortController()
      const cancel = clock.after(drainMsMax, () => giveUp.abort())
      await batcher.drain(giveUp.signal)
      cancel()
    },
  }
}
