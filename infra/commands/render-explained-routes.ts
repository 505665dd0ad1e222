/** What `penstock routes explain` says to people: a line a route, the reasons below it; then endpoints, then samples. */
import type { ExplainedRoute, ExplainedRoutes, ReadExtent } from '#pipeline/operate/explain-routes.ts'
import { renderTable } from '#pipeline/operate/render-table.ts'
import type { MessageSample, RouteOutcome } from '#pipeline/operate/route-outcomes.ts'
import { type BuiltInShows, builtInEndpoint } from '#schemas/routing/routing.ts'
import { builtInLine, stepLine } from './render-routes.ts'

const count = (number: number): string => number.toLocaleString('en')

export function renderExplainedRoutes(
  { read, routes, endpoints, costNs }: ExplainedRoutes,
  shows: BuiltInShows = 'all',
): string {
  const routesTable = renderTable(
    ['route', 'true', 'false', 'undefined', 'ns/message', 'endpoints'],
    [
      ...routes.flatMap(routeRows),
      ...(costNs === undefined || routes.length < 2 ? [] : [['all together', '', '', '', count(costNs)]]),
    ],
  )
  const endpointsTable = renderTable(
    ['endpoint', 'messages', 'bytes'],
    endpoints.map(({ name, messages, bytes }) => [name, count(messages), count(bytes)]),
  )
  const samples = routes.flatMap(({ name, outcomes }) =>
    outcomes.flatMap((outcome) => outcome.samples.map((sample) => renderSample(name, outcome, sample))),
  )
  const isBuiltInNamed = endpoints.some(({ name }) => name === builtInEndpoint)
  const parts = [
    extentLines(read),
    routesTable,
    ...(endpoints.length > 0 ? [endpointsTable] : []),
    ...(isBuiltInNamed ? [`${builtInLine({ name: builtInEndpoint, shows })}\n`] : []),
    ...samples,
  ]
  return parts.join('\n')
}

function routeRows({ name, state, outcomes, costNs, endpointNames }: ExplainedRoute): string[][] {
  if (state !== 'asked')
    return [[name, '', '', '', '', state === 'off' ? 'off' : 'not asked: it takes no messages of devices']]
  const of = (wanted: RouteOutcome['verdict']) =>
    count(outcomes.filter(({ verdict }) => verdict === wanted).reduce((sum, { messages }) => sum + messages, 0))
  const reasons = outcomes.filter(({ reason }) => reason !== undefined)
  return [
    [
      name,
      of('true'),
      of('false'),
      of('undefined'),
      costNs === undefined ? '' : count(costNs),
      endpointNames.join(' '),
    ],
    ...reasons.map(({ reason, messages }) => [`  ${reason}`, '', '', count(messages)]),
  ]
}

function extentLines({ fromMs, toMs, messages, records, bytes, ...rest }: ReadExtent): string {
  const until = toMs === undefined ? '' : ` to ${new Date(toMs).toISOString()}`
  const lines = [
    `${count(messages)} messages from ${new Date(fromMs).toISOString()}${until}, of ${count(records)} batches, ${count(bytes)} bytes of the log`,
  ]
  if (rest.unreadRecords > 0)
    lines.push(
      `NOT all: ${count(rest.unreadRecords)} later batches are left unread, as it would have taken too long; ask for less time or one device`,
    )
  if (rest.silentRecords > 0)
    lines.push(
      `NOT all: ${count(rest.silentRecords)} batches the log did not hand out; nothing is said of them, try again`,
    )
  if (rest.corruptRecords > 0)
    lines.push(`${count(rest.corruptRecords)} batches cannot be read; routers make dead letters of them`)
  return `${lines.join('\n')}\n`
}

function renderSample(route: string, { verdict, reason }: RouteOutcome, sample: MessageSample): string {
  const { id, deviceId, enqueuedAtMs, properties, systemProperties, body, bodyBytes, steps } = sample
  return [
    `${route} is ${verdict}${reason === undefined ? '' : ` (${reason})`}: ${deviceId}, ${new Date(enqueuedAtMs).toISOString()}, ${id}`,
    `  properties ${JSON.stringify(properties)}`,
    `  system properties ${JSON.stringify(systemProperties)}`,
    // As JSON writes it: nothing that a device sends may steer a terminal.
    `  body ${JSON.stringify(body)} (${count(bodyBytes)} bytes)`,
    ...steps.map(stepLine),
    '',
  ].join('\n')
}
