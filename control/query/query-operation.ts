/**
 * Queries over REST.
 *
 *   POST /devices/query   {"query":"SELECT …"}     x-ms-max-item-count, x-ms-continuation ─▶ a page, its kind and the next continuation
 */

import { argumentFault, type Identity } from '#control/identities/identity.ts'
import { continuation, continues, twinShape } from '#control/rest/hub-shapes.ts'
import { isObject, jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import { type TwinPart, twinPart } from '#control/twins/twin-document.ts'
import { anObject, aText, listOf, recordOf } from '#runtime/api/shapes.ts'
import { gives, json } from '#runtime/api/told.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { limits } from '#schemas/limits.ts'
import type { TwinQueries } from './query.ts'

type DocumentOf = (identity: Identity, part: TwinPart) => unknown

const pageSizeDefault = 100

/**
 * @param documentOf what a query of whole documents gives of a twin
 * @param callsPerMinute of each policy; 0: as many as it likes
 */
export function queryOperations(queries: TwinQueries, documentOf: DocumentOf, callsPerMinute: number): Operation[] {
  return [
    {
      method: 'POST',
      pattern: '/devices/query',
      told: {
        summary: 'Twins, or what is asked of them, in the query language of the hub',
        headers: { ...continues, 'x-ms-max-item-count': 'items of a page' },
        asked: json(recordOf({ query: aText })),
        answered: {
          200: gives('a page', listOf({ anyOf: [twinShape, anObject] }), {
            ...continuation,
            'x-ms-item-type': 'twin or raw',
          }),
        },
        faults: ['REGISTRY_QUERY_INVALID'],
      },
      right: ['RegistryRead', 'ServiceConnect'],
      audited: 'read',
      callsPerMinute,
      bodyBytesMax: limits.registryBodyBytesMax,
      run: (request, body) => query(queries, documentOf, request, body),
    },
  ]
}

async function query(
  queries: TwinQueries,
  documentOf: DocumentOf,
  request: HttpRequest,
  body: Uint8Array,
): Promise<HttpAnswer> {
  const document = jsonFrom(body)
  const text = isObject(document) ? document.query : undefined
  if (typeof text !== 'string') throw argumentFault('the body must be {"query":"SELECT …"}')
  const result = await queries.query(text, {
    countMax: pageSizeOf(request.header('x-ms-max-item-count'), pageSizeDefault),
    continuation: request.header('x-ms-continuation') || undefined,
  })
  const items =
    result.kind === 'twin'
      ? result.twins.map(({ identity, twin }) => documentOf(identity, twinPart(twin, identity.createdAtMs)))
      : result.items
  return jsonAnswer(200, items, {
    'x-ms-item-type': result.kind,
    ...(result.continuation === undefined ? {} : { 'x-ms-continuation': result.continuation }),
  })
}
