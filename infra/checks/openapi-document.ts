/** Writes docs/openapi.json: node infra/run.js infra/checks/openapi-document.ts > docs/openapi.json */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { registerServiceRoutes, type Services } from '#control/service-routes.ts'
import { routeApiDocument } from '#infra/roles/api-document.ts'
import { routeConsoleMetrics } from '#infra/roles/console-metrics.ts'
import { routeHealth } from '#infra/roles/health.ts'
import { routeCommands } from '#ingest/http/commands.ts'
import { routeNoisiest } from '#ingest/http/noisiest-route.ts'
import { routeTelemetry } from '#ingest/http/telemetry.ts'
import { routeInflux } from '#ingest/influx/write-routes.ts'
import { routeOtlp } from '#ingest/otlp/export-routes.ts'
import { openApiOf } from '#runtime/api/openapi.ts'
import { RouteList } from '#runtime/http/route-list.ts'

/** Routes ask for what they serve once a request is there. */
const later = new Proxy({}, { get: () => later }) as never

/** All that an installation serves, as if it were one process. */
export function allRoutes(): RouteList {
  const list = new RouteList()
  routeTelemetry(list, later, undefined, false)
  routeInflux(list, later, undefined, false)
  routeOtlp(list, later, undefined, false)
  routeCommands(list, later, later, undefined, false)
  routeNoisiest(list, later, later, undefined, false, later)
  routeHealth(list, later)
  routeConsoleMetrics(list, later)
  routeApiDocument(list)
  const services: Services = {
    ...{ registry: later, routing: later, downlink: later, delivery: later, deadLetters: later },
    ...{ settings: later, sql: later, loadTests: later },
    hubName: '',
    queriesPerMinute: 0,
    uploadHost: '',
    transferContainers: later,
    methods: later,
    models: later,
  }
  registerServiceRoutes(list, services, later, later)
  return list
}

export function openApiDocument(): string {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    version: string
  }
  const options = {
    title: 'Penstock',
    version,
    description:
      'Telemetry of devices, their registry, twins, methods, commands, routes, and how all of it does. Paths, rights and documents of the hub are kept; `api-version` is not looked at.',
    security: {
      type: 'apiKey',
      in: 'header',
      name: 'Authorization',
      description: 'SharedAccessSignature of a policy, or of the device',
    },
  }
  return `${JSON.stringify(openApiOf(options, allRoutes().told), undefined, 1)}\n`
}

if (process.argv[1] === import.meta.filename) process.stdout.write(openApiDocument())
