/**
 * Routes, endpoints and enrichments over REST, one document.
 *
 *   GET  /routing                          the document, ETag; secrets only say that they are set
 *   PUT  /routing                          If-Match: its etag, or *; takes effect without a restart
 *   PUT  /routing?validate                 every fault of a document; changes nothing
 *   POST /routing/test                     {"source", "message", "twin"?, "route"?}: which routes take a message, or what one condition makes of it
 *   GET  /routing/endpoints                health of all endpoints, and how far each is; what the built-in one shows
 *   GET  /routing/endpoints/{name}
 */
import { argumentFault } from '#control/identities/identity.ts'
import { isObject, jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { endpointStatuses } from '#schemas/endpoint-health.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { builtInEndpoint, type RoutingSource, routingSources } from '#schemas/routing/routing.ts'
import { conditionOnMessage } from './condition-test.ts'
import type { EndpointReport, RouterReport } from './routes.ts'
import { RoutingRefused, type RoutingService, routesThatTake, type ShownRouting } from './routing-service.ts'
import { routingTold } from './routing-told.ts'
import { testMessageFrom, withTwin } from './test-message.ts'

export function routingOperations(service: RoutingService): Operation[] {
  return [
    {
      method: 'GET',
      pattern: '/routing',
      told: routingTold.get,
      right: 'ServiceConnect',
      ownerOnly: true,
      run: async () => shownAnswer(await service.shown()),
    },
    {
      method: 'PUT',
      pattern: '/routing',
      told: routingTold.put,
      right: 'RegistryWrite',
      audited: (request) => (request.query('validate') === undefined ? 'changed' : 'read'),
      ownerOnly: true,
      bodyBytesMax: limits.routingDocumentBytesMax,
      run: (request, body) => put(service, request, jsonFrom(body)),
    },
    {
      method: 'POST',
      pattern: '/routing/test',
      told: routingTold.test,
      right: 'ServiceConnect',
      audited: 'read',
      ownerOnly: true,
      bodyBytesMax: limits.routingDocumentBytesMax,
      run: async (_request, body) => jsonAnswer(200, await test(service, jsonFrom(body))),
    },
    {
      method: 'GET',
      pattern: '/routing/endpoints',
      told: routingTold.endpoints,
      right: 'ServiceConnect',
      ownerOnly: true,
      run: async () =>
        jsonAnswer(200, {
          endpoints: await healthOfAll(service),
          builtIn: { name: builtInEndpoint, shows: service.builtInShows },
        }),
    },
    {
      method: 'GET',
      pattern: '/routing/endpoints/:name',
      told: routingTold.endpoint,
      right: 'ServiceConnect',
      ownerOnly: true,
      async run(request) {
        const name = request.parameter(0)
        const found = (await healthOfAll(service)).find((endpoint) => endpoint.endpointId === name)
        if (found === undefined) throw new PenstockError('ROUTING_ENDPOINT_UNKNOWN', `no endpoint ${name}`)
        return jsonAnswer(200, found)
      },
    },
  ]
}

async function put(service: RoutingService, request: HttpRequest, json: unknown): Promise<HttpAnswer> {
  if (request.query('validate') !== undefined) {
    const { problems, document } = await service.validate(json)
    return jsonAnswer(200, { isValid: problems.every(({ severity }) => severity !== 'error'), problems, document })
  }
  const ifMatch = request.header('if-match')
  if (ifMatch === '')
    throw argumentFault('the header If-Match is required: the etag of the document that was changed, or *')
  try {
    return shownAnswer(await service.put(json, ifMatch === '*' ? undefined : ifMatch))
  } catch (error) {
    if (!(error instanceof RoutingRefused)) throw error
    return jsonAnswer(400, { Message: `ErrorCode:ArgumentInvalid;${error.message}`, problems: error.problems })
  }
}

function shownAnswer({ document, etag, revision, changedAtMs }: ShownRouting): HttpAnswer {
  return jsonAnswer(200, document, {
    ETag: etag,
    'x-penstock-revision': String(revision),
    ...(revision === 0 ? {} : { 'Last-Modified': new Date(changedAtMs).toUTCString() }),
  })
}

async function test(service: RoutingService, json: unknown): Promise<Readonly<Record<string, unknown>>> {
  if (!isObject(json)) throw argumentFault('the body must be {"message": {…}}, with "source" and "route" as wished')
  const source = sourceOf(json.source)
  const message = withTwin(testMessageFrom(json.message), json.twin)
  if (json.route === undefined) {
    const taken = routesThatTake(await service.inForce(), source, message)
    return { routes: taken.map(({ name, endpointNames }) => ({ name, endpointNames })) }
  }
  const { condition = 'true' } = isObject(json.route) ? json.route : {}
  if (typeof condition !== 'string') throw argumentFault('route.condition must be a text')
  return conditionOnMessage(condition, source, message)
}

/** @throws REGISTRY_ARGUMENT_INVALID */
export function sourceOf(value: unknown): RoutingSource {
  const source = routingSources.find((each) => each === (value ?? 'DeviceMessages'))
  if (source === undefined) throw argumentFault(`source must be one of ${routingSources.join(', ')}`)
  return source
}

/** Endpoints as they do at all routers together. */
export async function healthOfAll(service: RoutingService): Promise<readonly (EndpointReport & { routers: number })[]> {
  const { endpoints } = await service.inForce()
  const reports = await service.reports()
  return endpoints.map(({ name }) => healthOf(name, reports))
}

function healthOf(name: string, reports: readonly RouterReport[]): EndpointReport & { routers: number } {
  const found = reports.flatMap((report) => report.endpoints.filter(({ endpointId }) => endpointId === name))
  const newest = (time: (report: EndpointReport) => number | undefined): EndpointReport | undefined =>
    found.toSorted((one, other) => (time(other) ?? 0) - (time(one) ?? 0))[0]
  const failed = newest((report) => report.lastKnownErrorAtMs)
  return {
    endpointId: name,
    // As badly as at any router: the list goes from best to worst.
    healthStatus:
      endpointStatuses[Math.max(0, ...found.map(({ healthStatus }) => endpointStatuses.indexOf(healthStatus)))] ??
      'unknown',
    lastKnownError: failed?.lastKnownError,
    lastKnownErrorAtMs: failed?.lastKnownErrorAtMs,
    lastSuccessfulSendAttemptAtMs: newest((report) => report.lastSuccessfulSendAttemptAtMs)
      ?.lastSuccessfulSendAttemptAtMs,
    lastSendAttemptAtMs: newest((report) => report.lastSendAttemptAtMs)?.lastSendAttemptAtMs,
    partitions: found.flatMap(({ partitions }) => partitions),
    routers: found.length,
  }
}
