/**
 * Points in the line protocol of InfluxDB, as its clients send them:
 *
 *   POST [/devices/{d}[/modules/{m}]]/api/v2/write   ?precision= &bucket=                version 2
 *   POST [/devices/{d}[/modules/{m}]]/write          ?precision= &db= &rp= &u= &p=       version 1
 *   GET  [/devices/{d}[/modules/{m}]]/ping           204: clients ask before they write
 *   GET  [/devices/{d}[/modules/{m}]]/health         200, or 503 while writes are refused: others ask this first
 *   POST [/devices/{d}[/modules/{m}]]/query          404, also of GET: clients of version 1 want to make their database
 *
 * `sender-name.ts` says who sends; where nobody else is named it is the bucket, or the database. A line that cannot be read is told with
 * its number and costs the others nothing: these are stored, and the answer is 400 nevertheless, since whoever sends the same again would
 * double them.
 */
import { decodedBody } from '#ingest/http/content-coding.ts'
import type { Credential } from '#ingest/http/credential.ts'
import { type AuthorizeRequest, admitDevice } from '#ingest/http/device-gate.ts'
import { type NamedInPath, senderOf, senderPaths } from '#ingest/http/sender-name.ts'
import { requireRoom, storePoints } from '#ingest/http/store-request.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { readPoints } from './point-rows.ts'
import {
  healthy,
  type InfluxVersion,
  influxFaultAnswer,
  noQueriesAnswer,
  partialAnswer,
  unhealthyAnswer,
  written,
} from './write-answers.ts'
import { healthTold, noQueriesTold, pingTold, writeTold } from './write-told.ts'

/** @param authorize `undefined`: every device is believed */
export function routeInflux(
  router: HttpRouter,
  edge: EdgeContext,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
): void {
  for (const [inPath, beginning] of senderPaths) {
    router.route({ method: 'GET', pattern: `${beginning}/ping`, told: pingTold, handle: () => pong })
    router.route({
      method: 'GET',
      pattern: `${beginning}/health`,
      told: healthTold,
      handle() {
        requireRoom(edge)
        return healthy
      },
      faultAnswer: unhealthyAnswer,
    })
    for (const method of ['GET', 'POST'] as const) {
      const pattern = `${beginning}/query`
      router.route({ method, pattern, told: noQueriesTold, handle: () => noQueriesAnswer })
    }
    routeWrites(router, `${beginning}/api/v2/write`, 'v2', inPath, edge, authorize, tls)
    routeWrites(router, `${beginning}/write`, 'v1', inPath, edge, authorize, tls)
  }
}

const pong = { status: 204, headers: { 'X-Influxdb-Version': 'penstock' } }

function routeWrites(
  router: HttpRouter,
  pattern: string,
  version: InfluxVersion,
  inPath: NamedInPath,
  edge: EdgeContext,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
): void {
  const faultAnswer = (error: unknown) => influxFaultAnswer(version, error)
  router.route({
    method: 'POST',
    pattern,
    told: writeTold,
    bodyBytesMax: limits.httpBodyBytesMax,
    tooLargeAnswer: faultAnswer(
      new PenstockError('INGEST_FRAME_TOO_LARGE', `more than ${limits.httpBodyBytesMax} bytes; send smaller batches`),
    ),
    noRoomAnswer: faultAnswer(new PenstockError('INGEST_OVERLOADED', 'too many requests are under way at the moment')),
    admit(request) {
      requireRoom(edge)
      const sender = writerOf(request, inPath)
      return admitDevice(edge, authorize, tls, sender, request, sender.secret)
    },
    handle(request, sent) {
      const bucket = bucketOf(request)
      return storePoints(edge, writerOf(request, inPath), 'influxdb', () => {
        const body = decodedBody(sent, request.header('content-encoding'))
        const reading = readPoints(body, request.query('precision') || 'ns', bucket, edge.clock.nowMs())
        return { ...reading, answer: reading.refusedCount === 0 ? written : partialAnswer(version, reading) }
      })
    },
    faultAnswer,
  })
}

function writerOf(request: HttpRequest, inPath: NamedInPath) {
  return senderOf(request, inPath, bucketOf(request), credentialInQuery(request))
}

/** As a client of version 1 may send it. */
function credentialInQuery(request: HttpRequest): Credential | undefined {
  const [name, secret] = [request.query('u'), request.query('p')]
  return name !== undefined && secret !== undefined ? { name, secret } : undefined
}

/** Of version 1 the database; what its clients call a retention policy means nothing here. */
function bucketOf(request: HttpRequest): string | undefined {
  return request.query('bucket') || request.query('db') || undefined
}
