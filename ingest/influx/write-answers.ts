/** Faults as the two versions of InfluxDB tell them, by which their clients decide: what is 429 or 5xx is sent again, all else is not. */
import { withChallenge } from '#ingest/http/credential.ts'
import { RateExceeded } from '#ingest/quotas/quotas.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import type { LinesReading } from './point-rows.ts'

export type InfluxVersion = 'v1' | 'v2'

/** All points are on the log. */
export const written: HttpAnswer = { status: 204, headers: {}, body: '' }

/** To `/health`, as version 2 says it. */
export const healthy: HttpAnswer = jsonAnswer(200, { name: 'penstock', message: 'ready for writes', status: 'pass' })

/** A write would be refused at the moment. */
export function unhealthyAnswer(error: unknown): HttpAnswer {
  if (!isPenstockError(error)) throw error
  return jsonAnswer(503, { name: 'penstock', message: error.message, status: 'fail' }, { 'Retry-After': '1' })
}

/** Version 2 has a name for each status. */
const codes: Readonly<Record<number, string>> = {
  400: 'invalid',
  401: 'unauthorized',
  403: 'forbidden',
  413: 'request too large',
  415: 'unsupported media type',
  429: 'too many requests',
  503: 'unavailable',
}

/** Said here, since whatever no route takes is asked of the control role, which would be started for it. */
export const noQueriesAnswer: HttpAnswer = answer('v1', 404, 'nothing is queried or made here, only written', {})

export function influxFaultAnswer(version: InfluxVersion, error: unknown): HttpAnswer {
  if (!isPenstockError(error)) throw error
  const { status } = hubFaultOf(error)
  const seconds = error instanceof RateExceeded ? Math.ceil(error.retryAfterMs / 1000) : status === 503 ? 1 : 0
  return withChallenge(
    answer(version, status, error.message, {}, seconds > 0 ? { 'Retry-After': String(seconds) } : {}),
  )
}

/** Some points were refused. The others, if there are any, are on the log by the time that this is sent. */
export function partialAnswer(version: InfluxVersion, { messages, faults, refusedCount }: LinesReading): HttpAnswer {
  const stored = messages.length
  const beginning = stored === 0 ? 'no point was stored' : `partial write: ${stored} stored`
  const [first] = faults
  const text = `${beginning}, dropped=${refusedCount}; line ${first?.line}: ${first?.reason}`
  const data = faults.map(({ line, reason, shown }) => ({
    line_number: line,
    error_message: reason,
    original_line: shown,
  }))
  return answer(version, 400, text, { line: first?.line, stored, dropped: refusedCount, data })
}

function answer(
  version: InfluxVersion,
  status: number,
  text: string,
  more: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  if (version === 'v1') return jsonAnswer(status, { error: text, ...more }, { 'X-Influxdb-Error': text, ...headers })
  return jsonAnswer(status, { code: codes[status] ?? 'internal error', message: text, ...more }, headers)
}
