/**
 * The hub's own management calls about routes, for its clients (npm `@azure/arm-iothub`), below any subscription and resource group:
 *
 *   POST …/IotHubs/{hub}/routing/routes/$testall   {routingSource, message, twin}  ─▶ {routes: [{properties: route}]}
 *   POST …/IotHubs/{hub}/routing/routes/$testnew   {route, message, twin}          ─▶ {result, details: {compilationErrors}}
 *   GET  …/IotHubs/{hub}/routingEndpointsHealth                                    ─▶ {value: [health]}
 *
 * `api-version` is not looked at. The token is the owner's SAS token, alone or behind `Bearer`.
 */
import { argumentFault } from '#control/identities/identity.ts'
import { isObject, jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import { limits } from '#schemas/limits.ts'
import type { FallbackRouteDocument, RouteDocument } from '#schemas/routing/routing.ts'
import { conditionOnMessage } from './condition-test.ts'
import type { EndpointReport } from './routes.ts'
import { healthOfAll, sourceOf } from './routing-operations.ts'
import { type RoutingService, routesThatTake } from './routing-service.ts'
import { routingTold } from './routing-told.ts'
import { testMessageFrom, withTwin } from './test-message.ts'

const hub = '/subscriptions/:subscription/resourceGroups/:group/providers/Microsoft.Devices/IotHubs/:hub'

export function hubRoutingOperations(service: RoutingService): Operation[] {
  const asked = { right: 'ServiceConnect', ownerOnly: true, audited: 'read' } as const
  return [
    {
      ...asked,
      method: 'POST',
      pattern: `${hub}/routing/routes/$testall`,
      told: routingTold.hubTestAll,
      bodyBytesMax: limits.routingDocumentBytesMax,
      async run(_request, body) {
        const json = bodyOf(body)
        const source = sourceOf(json.routingSource)
        const taken = routesThatTake(
          await service.inForce(),
          source,
          withTwin(testMessageFrom(json.message), json.twin),
        )
        return jsonAnswer(200, { routes: taken.map((route) => ({ properties: propertiesOf(route) })) })
      },
    },
    {
      ...asked,
      method: 'POST',
      pattern: `${hub}/routing/routes/$testnew`,
      told: routingTold.hubTestNew,
      bodyBytesMax: limits.routingDocumentBytesMax,
      async run(_request, body) {
        const json = bodyOf(body)
        if (!isObject(json.route)) throw argumentFault('route must be {"name", "source", "condition", "endpointNames"}')
        const { condition = 'true', source } = json.route
        if (typeof condition !== 'string') throw argumentFault('route.condition must be a text')
        const { result, details } = conditionOnMessage(
          condition,
          sourceOf(source),
          withTwin(testMessageFrom(json.message), json.twin),
        )
        return jsonAnswer(200, { result, details })
      },
    },
    {
      ...asked,
      method: 'GET',
      pattern: `${hub}/routingEndpointsHealth`,
      told: routingTold.hubHealth,
      run: async () => jsonAnswer(200, { value: (await healthOfAll(service)).map(healthDocument) }),
    },
  ]
}

function bodyOf(body: Uint8Array): Readonly<Record<string, unknown>> {
  const json = jsonFrom(body)
  if (!isObject(json)) throw argumentFault('the body must be an object')
  return json
}

/** The fallback route is a route of device messages here. */
function propertiesOf(route: RouteDocument | FallbackRouteDocument): Readonly<Record<string, unknown>> {
  return { source: 'DeviceMessages', ...route }
}

function healthDocument(health: EndpointReport): Readonly<Record<string, unknown>> {
  return {
    endpointId: health.endpointId,
    healthStatus: health.healthStatus,
    lastKnownError: health.lastKnownError,
    lastKnownErrorTime: timeOf(health.lastKnownErrorAtMs),
    lastSuccessfulSendAttemptTime: timeOf(health.lastSuccessfulSendAttemptAtMs),
    lastSendAttemptTime: timeOf(health.lastSendAttemptAtMs),
  }
}

const timeOf = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : new Date(ms).toUTCString()
