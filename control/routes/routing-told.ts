/** What the operations on routes say of themselves. */
import { ifMatch } from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import {
  aCount,
  aFlag,
  aMoment,
  aNumber,
  anObject,
  anything,
  aText,
  aTime,
  choiceOf,
  listOf,
  named,
  recordOf,
} from '#runtime/api/shapes.ts'
import { gives, json, nothing } from '#runtime/api/told.ts'
import { endpointStatuses } from '#schemas/endpoint-health.ts'
import { builtInShows, routingSources } from '#schemas/routing/routing.ts'

const route = { name: aText, condition: aText, endpointNames: listOf(aText), isEnabled: aFlag }
const routed = recordOf({ ...route, source: choiceOf(routingSources) })
const routing = named(
  'Routing',
  recordOf(
    {
      routes: listOf(routed),
      enrichments: listOf(recordOf({ key: aText, value: aText, endpointNames: listOf(aText) })),
      // With the settings of its kind: docs/ENDPOINTS.md.
      endpoints: listOf({ ...recordOf({ name: aText, kind: aText }), additionalProperties: true }),
    },
    { fallbackRoute: recordOf(route) },
  ),
)
const place = recordOf({ line: aCount, column: aCount })
const location = recordOf({ start: place, end: place })
const severity = choiceOf(['error', 'warning'])
const problem = named('Problem', recordOf({ path: aText, message: aText, severity }, { location }))
const compilationErrors = listOf(recordOf({ message: aText, severity }, { location }))

const partition = recordOf(
  { topic: aText, partition: aCount, revisionFrom: aCount, position: aCount, behind: aCount, ageMs: aNumber },
  { isFallingBehind: aFlag },
)
const builtIn = recordOf({ name: aText, shows: choiceOf(builtInShows) })
const endpointHealth = named(
  'EndpointHealth',
  recordOf(
    { endpointId: aText, healthStatus: choiceOf(endpointStatuses), partitions: listOf(partition), routers: aCount },
    {
      lastKnownError: aText,
      lastKnownErrorAtMs: aMoment,
      lastSuccessfulSendAttemptAtMs: aMoment,
      lastSendAttemptAtMs: aMoment,
    },
  ),
)

const wantedReplay = { from: aText, to: aText, where: aText, deviceId: aText, messagesPerSecondMax: aNumber }
const replay = named(
  'Replay',
  recordOf(
    {
      id: aText,
      endpoint: aText,
      from: aText,
      to: aText,
      begunAt: aTime,
      state: choiceOf(['running', 'waiting', 'done', 'cancelled', 'gone']),
    },
    {
      ...{ where: aText, deviceId: aText, messagesPerSecondMax: aNumber, endedAt: aTime },
      progress: recordOf({ records: aCount, recordsDone: aCount, messagesDelivered: aCount }, { fault: aText }),
    },
  ),
)

const revised = { ETag: 'of the document', 'x-penstock-revision': 'its number', 'Last-Modified': 'when it was written' }

export const routingTold = {
  get: {
    summary: 'The document of routes; secrets only say that they are set',
    answered: { 200: gives('the document in force', routing, revised) },
  },
  put: {
    summary: 'Puts a document in force; with ?validate it is only judged',
    query: { validate: 'says every fault of the document, and changes nothing' },
    headers: ifMatch,
    asked: json(anObject),
    answered: {
      200: gives(
        'the document in force; with ?validate what is wrong',
        { anyOf: [routing, recordOf({ isValid: aFlag, problems: listOf(problem), document: anObject })] },
        revised,
      ),
      400: gives('what is wrong', recordOf({ Message: aText }, { problems: listOf(problem), ExceptionMessage: aText })),
    },
    faults: ['ROUTING_ETAG_STALE'],
  },
  test: {
    summary: 'Which routes take a message, or what one condition makes of it',
    asked: json(recordOf({ message: anObject }, { source: choiceOf(routingSources), route: anObject })),
    answered: {
      200: gives('routes, or a verdict', {
        anyOf: [
          recordOf({ routes: listOf(recordOf({ name: aText, endpointNames: listOf(aText) })) }),
          recordOf({ result: aText, details: recordOf({ compilationErrors }) }, { explanation: anything }),
        ],
      }),
    },
  },
  endpoints: {
    summary: 'How all endpoints do, and how far each is',
    answered: {
      200: gives(
        'endpoints, and what readers of the built-in one are shown',
        recordOf({ endpoints: listOf(endpointHealth), builtIn }),
      ),
    },
  },
  endpoint: {
    summary: 'How an endpoint does, and how far it is',
    answered: { 200: gives('it', endpointHealth) },
    faults: ['ROUTING_ENDPOINT_UNKNOWN'],
  },
  beginReplay: {
    summary: 'Replays the log into an endpoint, from one time to another',
    asked: json(recordOf({ endpoint: aText }, wantedReplay)),
    answered: { 201: gives('it has begun', replay) },
    faults: ['ROUTING_ENDPOINT_UNKNOWN', 'ROUTING_INVALID'],
  },
  replays: {
    summary: 'Replays that go on, and what became of those of the last week',
    answered: { 200: gives('replays', recordOf({ replays: listOf(replay) })) },
  },
  cancelReplay: {
    summary: 'Ends a replay; what it delivered stays',
    answered: { 204: nothing('it ends') },
    faults: ['ROUTING_REPLAY_UNKNOWN'],
  },
  hubTestAll: {
    summary: "Which routes take a message, as the hub's management clients ask",
    asked: json(recordOf({ message: anObject }, { routingSource: aText, twin: anything })),
    answered: { 200: gives('routes', recordOf({ routes: listOf(recordOf({ properties: anObject })) })) },
  },
  hubTestNew: {
    summary: "What one condition makes of a message, as the hub's management clients ask",
    asked: json(recordOf({ message: anObject, route: anObject }, { twin: anything })),
    answered: { 200: gives('a verdict', recordOf({ result: aText, details: recordOf({ compilationErrors }) })) },
  },
  hubHealth: {
    summary: "How all endpoints do, as the hub's management clients ask",
    answered: {
      200: gives(
        'endpoints',
        recordOf({
          value: listOf(
            recordOf(
              { endpointId: aText, healthStatus: choiceOf(endpointStatuses) },
              {
                lastKnownError: aText,
                lastKnownErrorTime: aText,
                lastSuccessfulSendAttemptTime: aText,
                lastSendAttemptTime: aText,
              },
            ),
          ),
        }),
      ),
    },
  },
} as const satisfies Readonly<Record<string, OperationTold>>
