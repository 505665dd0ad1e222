import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { anObject } from '#runtime/api/shapes.ts'
import { gives, type RouteTold } from '#runtime/api/told.ts'
import { jsonTextAnswer } from '#runtime/http/answer.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'

const told: RouteTold = {
  summary: 'This document',
  answered: { 200: gives('OpenAPI 3.1', anObject) },
}

/** `GET /openapi.json`: every route and what it takes and gives. It is made from them (`infra/checks/openapi-document.ts`). */
export function routeApiDocument(router: HttpRouter): void {
  const document = readFileSync(join(import.meta.dirname, '../../docs/openapi.json'), 'utf8')
  router.route({
    method: 'GET',
    pattern: '/openapi.json',
    told,
    handle: () => jsonTextAnswer(200, document),
  })
}
