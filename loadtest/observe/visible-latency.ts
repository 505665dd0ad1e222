import { LatencyHistogram, type LatencySnapshot, type LatencySummary } from '#loadtest/ledger/latency.ts'
import { deviceIdOf, type LoadOptions } from '#loadtest/options/load-options.ts'
import type { ClickhouseRows } from './clickhouse-rows.ts'
import type { Seen } from './row-statements.ts'

/** Devices looked at: enough to meet the usual number of partitions, few enough to cost the warehouse little. */
const sampleDevicesMax = 8
/** Looks are at least so far apart, and rest as long as they take. */
const lookMsMin = 100

export interface VisibleLatency {
  /** Of the rows seen since the last call. */
  takeRecent(): LatencySnapshot
  /** Stops looking, and says how long it took from the intended moment of sending until a query saw the row. */
  stop(): Promise<{ readonly snapshot: LatencySnapshot; readonly summary: LatencySummary }>
}

/**
 * Measures socket → queryable row by asking again and again for the newest rows of a few devices. A row counts at the moment the
 * query that first saw it was answered, so what is measured is too long by up to the time between two looks, never too short.
 * @param startAtMs the first moment of sending
 * @param offsetMsOf a generator process's clock minus this one, which the moment of sending is corrected by
 */
export function watchVisibleLatency(
  { run, firstDevice, connections, processes, warmUpSeconds }: LoadOptions,
  rows: ClickhouseRows,
  startAtMs: number,
  offsetMsOf: (process: number) => number,
): VisibleLatency {
  const histogram = new LatencyHistogram()
  const seen = new Map<string, Seen>()
  const offsetsMs = new Map<string, number>()
  const samples = Math.min(connections, sampleDevicesMax)
  const first = Math.floor((connections - samples) / 2)
  // Neighbours: processes have them in turn, and their rows lie together in every part, so that a look reads little.
  for (let index = first; index < first + samples; index++) {
    const deviceId = deviceIdOf(run, firstDevice + index)
    seen.set(deviceId, { sequence: -1, enqueuedAtMs: 0 })
    offsetsMs.set(deviceId, offsetMsOf(index % processes))
  }
  const measuredFromMs = warmUpSeconds === 0 ? 0 : startAtMs + warmUpSeconds * 1000
  let isStopped = false
  const look = async () => {
    const found = await rows.visibleAfter(seen)
    const nowMs = Date.now()
    for (const { deviceId, sentAtMs, count, last } of found) {
      const intendedAtMs = sentAtMs - (offsetsMs.get(deviceId) ?? 0)
      if (intendedAtMs >= measuredFromMs) histogram.add((nowMs - intendedAtMs) * 1000, count)
      if (last.sequence > (seen.get(deviceId)?.sequence ?? -1)) seen.set(deviceId, last)
    }
  }
  const watch = async () => {
    while (!isStopped) {
      const begunMs = performance.now()
      // A warehouse that is down for a while is part of what is measured.
      await look().catch(() => undefined)
      const restMs = Math.max(lookMsMin, performance.now() - begunMs)
      await new Promise((resolve) => setTimeout(resolve, Math.min(restMs, 5_000)))
    }
    await look().catch(() => undefined)
  }
  const watching = watch()
  return {
    takeRecent: () => histogram.takeRecent(),
    async stop() {
      isStopped = true
      await watching
      return { snapshot: histogram.snapshot(), summary: histogram.summary() }
    },
  }
}
