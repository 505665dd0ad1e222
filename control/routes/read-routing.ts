/**
 * The document of routes, endpoints and enrichments, as JSON that somebody wrote. Nothing of it is used before all of it is right.
 *
 *   {"routes": [{"name", "source", "condition", "endpointNames", "isEnabled"}],
 *    "fallbackRoute": {"condition", "endpointNames", "isEnabled"},
 *    "enrichments": [{"key", "value", "endpointNames"}],
 *    "endpoints": [{"name", "kind", "from", "whenBehind", "isEnabled", …the settings of its kind}]}
 */
import { readCondition } from '#pipeline/routing/condition/condition.ts'
import { Needs } from '#pipeline/routing/condition/needs.ts'
import { problemText } from '#pipeline/routing/condition/problem.ts'
import { twinPathOf } from '#pipeline/routing/select/enrichment.ts'
import { type DocumentProblem, DocumentReader, pathOf } from '#runtime/document-reader.ts'
import { endpointKinds, isEndpointKind } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import { limits } from '#schemas/limits.ts'
import {
  builtInEndpoint,
  defaultFallbackName,
  type EndpointDocument,
  type EnrichmentDocument,
  enrichmentKeyPattern,
  type FallbackRouteDocument,
  type RouteDocument,
  type RoutingDocument,
  type RoutingSource,
  reservedEndpointNames,
  routingNamePattern,
  routingSources,
} from '#schemas/routing/routing.ts'
import { type Values, withoutSecrets } from './endpoint-secrets.ts'
import { readEndpointSettings } from './endpoint-settings.ts'
import { startingPointOf, startMsOf } from './starting-point.ts'

export interface RoutingReading {
  readonly document: RoutingDocument
  /** With an error among them the document must not be used. */
  readonly problems: readonly DocumentProblem[]
}

/** What becomes of a document once it is in force. */
export interface NextRevision {
  readonly revision: number
  readonly atMs: number
}

/** @param kept the document in force, for the secrets that stay and for how endpoints began */
export function readRouting(json: unknown, kept: RoutingDocument, next: NextRevision): RoutingReading {
  const reader = new DocumentReader()
  const all = reader.object('', json, ['routes', 'fallbackRoute', 'enrichments', 'endpoints'])
  const endpoints = reader
    .list('endpoints', all.endpoints, limits.endpointsMax)
    .map((entry, index) => readEndpoint(reader, `endpoints[${index}]`, entry, kept, next))
  const needs = new Needs()
  const routes = reader
    .list('routes', all.routes, limits.routesMax)
    .map((entry, index) => readRoute(reader, `routes[${index}]`, entry, needs))
  const document: RoutingDocument = {
    routes,
    fallbackRoute: readFallback(reader, all.fallbackRoute, needs),
    enrichments: reader
      .list('enrichments', all.enrichments, limits.enrichmentsMax)
      .map((entry, index) => readEnrichment(reader, `enrichments[${index}]`, entry)),
    endpoints: endpoints.filter((endpoint) => endpoint !== undefined),
  }
  namesOnce(reader, 'routes', routes)
  namesOnce(reader, 'endpoints', document.endpoints)
  namesOfEndpoints(reader, document)
  return { document, problems: reader.problems }
}

function readRoute(reader: DocumentReader, path: string, entry: unknown, needs: Needs): RouteDocument {
  const route = reader.object(path, entry, ['name', 'source', 'condition', 'endpointNames', 'isEnabled'])
  const source = reader.choice(pathOf(path, 'source'), route.source, routingSources, 'DeviceMessages')
  return {
    name: nameOf(reader, pathOf(path, 'name'), route.name),
    source,
    condition: conditionOf(reader, pathOf(path, 'condition'), route.condition, source, needs),
    endpointNames: endpointNamesOf(reader, pathOf(path, 'endpointNames'), route.endpointNames),
    isEnabled: reader.boolean(pathOf(path, 'isEnabled'), route.isEnabled, true),
  }
}

function readFallback(reader: DocumentReader, entry: unknown, needs: Needs): FallbackRouteDocument | undefined {
  if (entry === undefined || entry === null) return undefined
  const path = 'fallbackRoute'
  const route = reader.object(path, entry, ['name', 'source', 'condition', 'endpointNames', 'isEnabled'])
  reader.choice(pathOf(path, 'source'), route.source, ['DeviceMessages'], 'DeviceMessages')
  return {
    name: reader.text(pathOf(path, 'name'), route.name, defaultFallbackName),
    condition: conditionOf(reader, pathOf(path, 'condition'), route.condition, 'DeviceMessages', needs),
    endpointNames: endpointNamesOf(reader, pathOf(path, 'endpointNames'), route.endpointNames),
    isEnabled: reader.boolean(pathOf(path, 'isEnabled'), route.isEnabled, true),
  }
}

/** A missing condition, and an empty one, is `true`. */
function conditionOf(
  reader: DocumentReader,
  path: string,
  value: unknown,
  source: RoutingSource,
  needs: Needs,
): string {
  const text = reader.text(path, value, 'true')
  const reading = readCondition(text, source, { needs })
  const problems = 'errors' in reading ? [...reading.errors, ...reading.warnings] : reading.warnings
  for (const problem of problems) {
    const { severity, location } = problem
    reader.problems.push({ path, message: problemText(problem), severity, location })
  }
  return text.trim() === '' ? 'true' : text
}

function readEnrichment(reader: DocumentReader, path: string, entry: unknown): EnrichmentDocument {
  const enrichment = reader.object(path, entry, ['key', 'value', 'endpointNames'])
  const key = reader.text(pathOf(path, 'key'), enrichment.key, '')
  if (!enrichmentKeyPattern.test(key))
    reader.fault(pathOf(path, 'key'), '1 to 64 letters, digits, dots, dashes and underscores are expected')
  const value = reader.text(pathOf(path, 'value'), enrichment.value, '')
  const twin = twinPathOf(value)
  if (twin !== undefined && 'fault' in twin) reader.fault(pathOf(path, 'value'), twin.fault)
  if (Buffer.byteLength(value) > limits.enrichmentValueBytesMax)
    reader.fault(pathOf(path, 'value'), `at most ${limits.enrichmentValueBytesMax} bytes are allowed`)
  return { key, value, endpointNames: endpointNamesOf(reader, pathOf(path, 'endpointNames'), enrichment.endpointNames) }
}

const commonFields = ['name', 'kind', 'from', 'whenBehind', 'isEnabled'] as const

function readEndpoint(
  reader: DocumentReader,
  path: string,
  entry: unknown,
  kept: RoutingDocument,
  next: NextRevision,
): EndpointDocument | undefined {
  const kind = typeof entry === 'object' && entry !== null ? (entry as { kind?: unknown }).kind : undefined
  if (!isEndpointKind(kind)) {
    reader.fault(pathOf(path, 'kind'), `allowed is ${Object.keys(endpointKinds).join(', ')}`)
    return undefined
  }
  const fields = Object.keys(endpointKinds[kind].fields)
  const endpoint = reader.object(path, entry, [...commonFields, ...fields])
  const name = nameOf(reader, pathOf(path, 'name'), endpoint.name)
  if (reservedEndpointNames.includes(name)) reader.fault(pathOf(path, 'name'), `${name} is the hub's own`)
  const before = kept.endpoints.find((other) => other.name === name)
  if (before !== undefined && before.kind !== kind)
    reader.fault(pathOf(path, 'kind'), `${name} is a ${before.kind}: an endpoint of another kind needs another name`)
  // Counts only when an endpoint is new.
  const from = startingPointOf(reader, pathOf(path, 'from'), endpoint.from, before?.from ?? 'now')
  return {
    name,
    kind,
    from,
    generation: before?.generation ?? next.revision,
    startsAtMs: before?.startsAtMs ?? startMsOf(from, next.atMs),
    whenBehind: reader.choice(pathOf(path, 'whenBehind'), endpoint.whenBehind, ['expire', 'hold'], 'expire'),
    isEnabled: reader.boolean(pathOf(path, 'isEnabled'), endpoint.isEnabled, true),
    settings: readEndpointSettings(reader, path, kind, endpoint, before?.settings),
  }
}

function nameOf(reader: DocumentReader, path: string, value: unknown): string {
  const name = reader.text(path, value, '')
  if (!routingNamePattern.test(name))
    reader.fault(path, '1 to 64 letters, digits, dots, dashes and underscores are expected')
  return name
}

function endpointNamesOf(reader: DocumentReader, path: string, value: unknown): readonly string[] {
  const names = reader
    .list(path, value, limits.endpointsMax)
    .map((entry, index) => reader.text(`${path}[${index}]`, entry, ''))
  if (names.length === 0) reader.fault(path, 'at least one endpoint is expected')
  return names
}

/** Names differ also where they differ in case only [the hub's own rule]. */
function namesOnce(reader: DocumentReader, path: string, entries: readonly { readonly name: string }[]): void {
  const seen = new Set<string>()
  for (const [index, { name }] of entries.entries()) {
    if (seen.has(name.toLowerCase())) reader.fault(`${path}[${index}].name`, `${name} is there already`)
    seen.add(name.toLowerCase())
  }
}

function namesOfEndpoints(reader: DocumentReader, document: RoutingDocument): void {
  const known = new Set([builtInEndpoint, ...document.endpoints.map(({ name }) => name)])
  const check = (path: string, names: readonly string[]): void => {
    for (const [index, name] of names.entries())
      if (name !== '' && !known.has(name))
        reader.fault(`${path}.endpointNames[${index}]`, `no endpoint ${name}; there are ${[...known].join(', ')}`)
  }
  for (const [index, route] of document.routes.entries()) check(`routes[${index}]`, route.endpointNames)
  for (const [index, { endpointNames }] of document.enrichments.entries()) check(`enrichments[${index}]`, endpointNames)
  if (document.fallbackRoute !== undefined) check('fallbackRoute', document.fallbackRoute.endpointNames)
}

/** The document as it is shown, and can be written back: settings beside the name, secrets only said to be set. */
export function shownRouting(document: RoutingDocument): Values {
  return {
    routes: document.routes,
    ...(document.fallbackRoute === undefined ? {} : { fallbackRoute: document.fallbackRoute }),
    enrichments: document.enrichments,
    endpoints: document.endpoints.map(({ settings, generation: _generation, startsAtMs: _startsAtMs, ...common }) => ({
      ...common,
      ...withoutSecrets(common.kind, settings),
    })),
  }
}
