/**
 * The audit over REST, the newest first.
 *
 *   GET /audit[?kind=&policy=&from=&path=&since=&until=&top=]   [{"id":7,"timeUtc":…,"kind":"changed",…}]; x-ms-continuation goes on
 */
import { argumentFault, isStorableText } from '#control/identities/identity.ts'
import { auditKinds } from '#control/rest/audited.ts'
import { continuation, continues } from '#control/rest/hub-shapes.ts'
import type { Operation } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import { aCount, aText, aTime, choiceOf, listOf, named, orNull, recordOf } from '#runtime/api/shapes.ts'
import { gives } from '#runtime/api/told.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { AuditFilter, AuditRow, AuditTrail } from './audit.ts'

const pageDefault = 100

const rowShape = named(
  'AuditRow',
  recordOf({
    id: aCount,
    timeUtc: aTime,
    kind: choiceOf(auditKinds),
    method: aText,
    path: aText,
    policy: orNull(aText),
    from: aText,
    status: aCount,
    fault: orNull(aText),
    warning: orNull(aText),
    count: aCount,
  }),
)

export function auditOperations(trail: Pick<AuditTrail, 'list'>): Operation[] {
  return [
    {
      method: 'GET',
      pattern: '/audit',
      told: {
        summary: 'Who changed what, the newest first, page by page',
        query: {
          kind: auditKinds.join(', '),
          policy: 'of the caller',
          from: 'address of the client',
          path: 'a part of the path',
          since: 'ISO 8601, or UTC milliseconds',
          until: 'the same; before it',
          top: 'items of a page',
        },
        headers: continues,
        answered: { 200: gives('a page', listOf(rowShape), continuation) },
      },
      right: 'RegistryRead',
      ownerOnly: true,
      run: (request) => list(trail, request),
    },
  ]
}

async function list(trail: Pick<AuditTrail, 'list'>, request: HttpRequest): Promise<HttpAnswer> {
  const countMax = pageSizeOf(request.query('top') ?? '', pageDefault)
  const rows = await trail.list(filterOf(request), countMax)
  const last = rows.length === countMax ? rows.at(-1) : undefined
  return jsonAnswer(200, rows.map(documentOf), last ? { 'x-ms-continuation': String(last.id) } : {})
}

/** @throws REGISTRY_ARGUMENT_INVALID */
function filterOf(request: HttpRequest): AuditFilter {
  const text = (name: string): string | undefined => {
    const value = request.query(name) || undefined
    if (value === undefined || isStorableText(value)) return value
    throw argumentFault(`${name} holds characters that no text may hold`)
  }
  const wanted = text('kind')
  const kind = auditKinds.find((each) => each === wanted)
  if (wanted !== undefined && kind === undefined) throw argumentFault(`kind must be one of ${auditKinds.join(', ')}`)
  const before = request.header('x-ms-continuation')
  if (!/^\d{0,15}$/.test(before)) throw argumentFault('the continuation is none of this list')
  return {
    kind,
    policy: text('policy'),
    from: text('from'),
    pathPart: text('path'),
    sinceMs: momentOf('since', text('since')),
    untilMs: momentOf('until', text('until')),
    before: before === '' ? undefined : Number(before),
  }
}

/** @throws REGISTRY_ARGUMENT_INVALID */
function momentOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const atMs = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text)
  // Beyond it there are no dates.
  if (Number.isNaN(atMs) || Math.abs(atMs) > 8.64e15)
    throw argumentFault(`${name} must be a time, as 2026-01-31T12:00:00Z or in UTC milliseconds`)
  return atMs
}

function documentOf({ id, atMs, policy, fault, warning, ...row }: AuditRow): Readonly<Record<string, unknown>> {
  return {
    id,
    timeUtc: new Date(atMs).toISOString(),
    ...row,
    policy: policy ?? null,
    fault: fault ?? null,
    warning: warning ?? null,
  }
}
