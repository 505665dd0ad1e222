import { hostname } from 'node:os'
import { controlSettings } from '#control/control-settings.ts'
import { connectionStringOf, ensureFirstDevice } from '#control/first-device.ts'
import { openControl } from '#control/open-control.ts'
import { openHttpServer } from '#runtime/http.ts'
import { createLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { openRoleEvents } from './events.ts'
import { routeHealth } from './health.ts'
import { reportSamples, stopOnSignal, supervised, tellSupervisor } from './role-process.ts'

const firstDeviceId = 'first-device'

/** Runs the control role until it is told to stop: the registry of devices, over REST, and the directory that edges ask. */
export async function runControl(settings: Settings): Promise<void> {
  const logger = createLogger('control', settings.logLevel)
  const metrics = new Metrics<MetricName>(metricsTable)
  const options = controlSettings(settings)
  const events = await openRoleEvents(settings, `${hostname()}-control`, metrics, logger)
  const control = await openControl({ ...options, metrics, logger, audit: createLogger('audit', 'info') })
  control.registry.onChange((change) => {
    if (change.kind !== 'identities') return
    for (const { change: event, deviceId, moduleId } of change.changes)
      events?.tell({ event, deviceId, moduleId, reason: undefined })
  })
  const server = await openHttpServer({
    host: settings.bind,
    port: settings.httpPort,
    logger,
    routes: (router) => {
      if (!supervised) routeHealth(router, () => ({ ready: true, metrics: metrics.render([metrics.samples()]) }))
      control.registerRoutes(router, false)
    },
  })
  stopOnSignal(async (reason) => {
    logger.info('stopping', { reason })
    await server.close()
    await control.close()
    await events?.close()
  })
  reportSamples(() => metrics.samples())
  const device = await ensureFirstDevice(control.registry, firstDeviceId)
  const key = device?.authentication.primaryKey
  if (device && key) {
    const connectionString = connectionStringOf(device, options.hostName)
    tellSupervisor({ kind: 'first-device', device: { deviceId: device.deviceId, key, connectionString } })
  }
  tellSupervisor({ kind: 'ready', ports: { http: server.port } })
  logger.info('serving the registry', { http: `${settings.bind}:${server.port}` })
}
