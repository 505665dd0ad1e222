/**
 * Load tests over REST, for the owner alone.
 *
 *   GET    /api/load-tests                       results, the newest first, and the one that runs
 *   POST   /api/load-tests                       starts one, against this installation
 *   POST   /api/load-tests/stop                  ends it early
 *   GET    /api/load-tests/{run}[?compare=run]   a result, and how it differs from another
 *   GET    /api/load-tests/{run}/report          the same as a page that stands by itself
 *   DELETE /api/load-tests/{run}
 */
import { argumentFault } from '#control/identities/identity.ts'
import { jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { bytes, gives, json, nothing } from '#runtime/api/told.ts'
import { type HttpAnswer, jsonAnswer, textAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { LoadTestAsked } from '#schemas/load-tests.ts'
import { askedShape, detailShape, listShape, stateShape } from './load-test-shapes.ts'
import type { LoadTests } from './load-tests.ts'
import { loadTestAsked } from './load-tests-json.ts'

const askedBytesMax = 4_096

/**
 * A report has its style and its script in itself. Here it may run them and nothing else: it is of no origin, so it has no cookie and
 * reads nothing of the console, and it asks for nothing.
 */
const reportHeaders = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

const told = {
  list: {
    summary: 'Results of load tests, the newest first, and the one that runs',
    answered: { 200: gives('them', listShape) },
  },
  start: {
    summary: 'Starts a load test against this installation; one at a time',
    asked: json(askedShape),
    answered: { 202: gives('it starts', stateShape) },
    faults: ['LOADTEST_RUNNING', 'LOADTEST_IMPOSSIBLE', 'LOADTESTS_FULL'],
  },
  stop: {
    summary: 'Ends the load test that runs; what it sent is compared with the rows all the same',
    answered: { 204: nothing('it ends, or none ran') },
    faults: ['LOADTEST_IMPOSSIBLE'],
  },
  read: {
    summary: 'The result of a load test, and how it differs from another',
    query: { compare: 'the run to be compared with' },
    answered: { 200: gives('it', detailShape) },
    faults: ['LOADTEST_UNKNOWN'],
  },
  report: {
    summary: 'The result of a load test as a page that stands by itself',
    answered: { 200: { description: 'HTML, sandboxed', body: bytes('text/html') } },
    faults: ['LOADTEST_UNKNOWN'],
  },
  remove: {
    summary: 'Deletes the result of a load test, and its report',
    answered: { 204: nothing('it is gone') },
    faults: ['LOADTEST_UNKNOWN'],
  },
} as const satisfies Readonly<Record<string, OperationTold>>

export function loadTestOperations(tests: LoadTests): Operation[] {
  const all = '/api/load-tests'
  const one = `${all}/:run`
  const owners = { right: 'ServiceConnect', ownerOnly: true } as const
  return [
    { ...owners, method: 'GET', pattern: all, told: told.list, run: () => list(tests) },
    {
      ...owners,
      method: 'POST',
      pattern: all,
      bodyBytesMax: askedBytesMax,
      told: told.start,
      run: async (_request, body) => jsonAnswer(202, await tests.start(askedFrom(body))),
    },
    {
      ...owners,
      method: 'POST',
      pattern: `${all}/stop`,
      told: told.stop,
      run: () => done(tests.stop()),
    },
    {
      ...owners,
      method: 'GET',
      pattern: one,
      told: told.read,
      run: async (request) => jsonAnswer(200, await tests.read(runOf(request), request.query('compare'))),
    },
    {
      ...owners,
      method: 'GET',
      pattern: `${one}/report`,
      told: told.report,
      run: async (request) => textAnswer(200, await tests.report(runOf(request)), reportHeaders),
    },
    {
      ...owners,
      method: 'DELETE',
      pattern: one,
      told: told.remove,
      run: (request) => done(tests.remove(runOf(request))),
    },
  ]
}

async function list(tests: LoadTests): Promise<HttpAnswer> {
  const { running, ...others } = await tests.list()
  return jsonAnswer(200, { ...others, ...(running && { running }) })
}

async function done(act: Promise<void>): Promise<HttpAnswer> {
  await act
  return { status: 204 }
}

function runOf(request: HttpRequest): string {
  return request.parameter(0) ?? ''
}

/** @throws REGISTRY_BODY_MALFORMED, REGISTRY_ARGUMENT_INVALID */
function askedFrom(body: Uint8Array): LoadTestAsked {
  const given = jsonFrom(body)
  try {
    return loadTestAsked(given)
  } catch (error) {
    throw argumentFault(`a load test cannot be asked for so: ${error instanceof Error ? error.message : error}`)
  }
}
