import { startEdge } from '#ingest/edge.ts'
import { CapturingLog } from '#ingest/edge-fixture.ts'
import type { Log } from '#pipeline/log/log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { StartingDownlink } from './edge-downlink.ts'
import { openIdentities } from './identities.ts'

export interface StandaloneEdge {
  readonly port: number
  close(): Promise<void>
}

/** For tests: an edge as `runEdge` puts it together, in this process. */
export async function startStandaloneEdge(settings: Settings, edgeId: string): Promise<StandaloneEdge> {
  const metrics = new Metrics<MetricName>(metricsTable)
  const downlink = new StartingDownlink()
  const identities = await openIdentities(settings, edgeId, metrics, silentLogger, downlink)
  const edge = await startEdge({
    log: new CapturingLog() as unknown as Log,
    logger: silentLogger,
    metrics,
    edgeId,
    bind: '127.0.0.1',
    mqttPort: 0,
    batchDelayMs: 2,
    connectionsMax: 100,
    ...identities,
  })
  downlink.started(edge.downlink)
  identities.onTakenOver((sessionId) => edge.takeOver(sessionId))
  return {
    port: edge.mqttPort,
    close: async () => {
      await edge.close()
      await identities.close()
    },
  }
}
