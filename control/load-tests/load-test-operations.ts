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
import { bytes, gives, nothing } from '#runtime/api/told.ts'
import { jsonAnswer, textAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { type LoadTestAsked, loadTestAsked } from '#schemas/load-tests.ts'
import { askedShape, detailShape, listShape, stateShape } from './load-test-shapes.ts'
import type { LoadTests } from './load-tests.ts'

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

export function loadTestOperations(tests: LoadTests): Operation[] {
  const all = '/api/load-tests'
  const one = `${all}/:run`
  const owners = { right: 'ServiceConnect', ownerOnly: true } as const
  const faults = ['LOADTEST_UNKNOWN'] as const
  return [
    {
      ...owners,
      method: 'GET',
      pattern: all,
      told: {
        summary: 'Results of load tests, the newest first, and the one that runs',
        answered: { 200: gives('them', listShape) },
      },
      run: async () => {
        const { running, ...list } = await tests.list()
        return jsonAnswer(200, { ...list, ...(running && { running }) }, { 'Cache-Control': 'no-store' })
      },
    },
    {
      ...owners,
      method: 'POST',
      pattern: all,
      bodyBytesMax: askedBytesMax,
      told: {
        summary: 'Starts a load test against this installation; one at a time',
        asked: { contentType: 'application/json', shape: askedShape },
        answered: { 202: gives('it starts', stateShape) },
        faults: ['LOADTEST_RUNNING', 'LOADTEST_IMPOSSIBLE', 'LOADTESTS_FULL'],
      },
      run: async (_request, body) => jsonAnswer(202, await tests.start(askedFrom(body))),
    },
    {
      ...owners,
      method: 'POST',
      pattern: `${all}/stop`,
      told: {
        summary: 'Ends the load test that runs; what it sent is compared with the rows all the same',
        answered: { 204: nothing('it ends, or none ran') },
        faults: ['LOADTEST_IMPOSSIBLE'],
      },
      run: async () => {
        await tests.stop()
        return { status: 204 }
      },
    },
    {
      ...owners,
      method: 'GET',
      pattern: one,
      told: {
        summary: 'The result of a load test, and how it differs from another',
        query: { compare: 'the run to be compared with' },
        answered: { 200: gives('it', detailShape) },
        faults,
      },
      run: async (request) => jsonAnswer(200, await tests.read(runOf(request), request.query('compare'))),
    },
    {
      ...owners,
      method: 'GET',
      pattern: `${one}/report`,
      told: {
        summary: 'The result of a load test as a page that stands by itself',
        answered: { 200: { description: 'HTML, sandboxed', body: bytes('text/html') } },
        faults,
      },
      run: async (request) => textAnswer(200, await tests.report(runOf(request)), reportHeaders),
    },
    {
      ...owners,
      method: 'DELETE',
      pattern: one,
      told: {
        summary: 'Deletes the result of a load test, and its report',
        answered: { 204: nothing('it is gone') },
        faults,
      },
      run: async (request) => {
        await tests.remove(runOf(request))
        return { status: 204 }
      },
    },
  ]
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
