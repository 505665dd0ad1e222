import { hostname } from 'node:os'
import { startEdge } from '#ingest/edge.ts'
import { createLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { serveHealth } from './health.ts'
import { openRoleLog } from './open-role-log.ts'
import { onSupervisorMessage, reportSamples, stopOnSignal, supervised, tellSupervisor } from './role-process.ts'

/** Runs one edge process until it is told to stop. @param index its number among the edges of this machine */
export async function runEdge(settings: Settings, index: number): Promise<void> {
  const logger = createLogger(`edge-${index}`, settings.logLevel)
  const metrics = new Metrics<MetricName>(metricsTable)
  const log = await openRoleLog(settings, logger)
  const edge = await startEdge({
    log,
    logger,
    metrics,
    edgeId: `${hostname()}-${index}`,
    bind: settings.bind,
    mqttPort: settings.mqttPort,
    batchDelayMs: settings.batchDelayMs,
    connectionsMax: settings.edgeConnectionsMax,
    announce: (clientId) => tellSupervisor({ kind: 'take-over', clientId }),
  })
  const health = supervised
    ? undefined
    : await serveHealth(settings, { ready: () => true, render: () => metrics.render([metrics.samples()]) })
  stopOnSignal(async (reason) => {
    logger.info('draining', { reason, connections: edge.connectionCount })
    await edge.close()
    await log.close()
    await health?.close()
  })
  onSupervisorMessage((message) => {
    if (message.kind === 'take-over') edge.takeOver(message.clientId)
  })
  reportSamples(() => metrics.samples())
  tellSupervisor({ kind: 'ready', ports: { mqtt: edge.mqttPort } })
  logger.info('listening', { mqtt: `${settings.bind}:${edge.mqttPort}` })
}
