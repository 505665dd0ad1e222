/**
 * File upload over HTTP, as the hub has it: where a device learns where to put a file, and says what became of it. The file itself: `blobs.ts`.
 *
 *   POST /devices/{d}/files                        {"blobName"}                       200: where, and leave to
 *   POST /devices/{d}/files/notifications[/{id}]   {"correlationId","isSuccess",…}    204
 */
import { blobNameFrom } from '#ingest/device-api/blob-name.ts'
import type { FileUploads } from '#ingest/device-api/file-uploads.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { asciiJson } from '#runtime/ascii-json.ts'
import { sleep } from '#runtime/clock.ts'
import { type HttpAnswer, jsonTextAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type AuthorizeRequest, admitDevice, deviceFaultAnswer, deviceOf } from './device-gate.ts'

const done: HttpAnswer = { status: 204 }

/** @param authorize `undefined`: every device is believed */
export function routeUploads(
  router: HttpRouter,
  edge: EdgeContext,
  uploads: FileUploads,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
): void {
  const add = (path: string, handle: (request: HttpRequest, given: GivenUpload) => Promise<HttpAnswer>): void =>
    router.route({
      method: 'POST',
      pattern: `/devices/:device/files${path}`,
      bodyBytesMax: limits.uploadRequestBytesMax,
      admit: (request) => {
        if (edge.draining) throw new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
        return admitDevice(edge, authorize, tls, deviceOf(request, false), request)
      },
      handle: async (request, body) => {
        const waitMs = edge.quotas.requestWaitMs(deviceOf(request, false).deviceId, 1, body.length)
        if (waitMs > 0) await sleep(edge.clock, waitMs)
        return handle(request, uploadFrom(body))
      },
      faultAnswer: deviceFaultAnswer,
    })
  const end = async (request: HttpRequest, { correlationId, isSuccess }: GivenUpload, id = correlationId) => {
    if (typeof id !== 'string' || typeof isSuccess !== 'boolean')
      throw new PenstockError(
        'INGEST_BODY_MALFORMED',
        'a notification has a correlationId, and isSuccess is true or false',
      )
    await uploads.end(deviceOf(request, false).deviceId, id, isSuccess)
    return done
  }
  add('', async (request, { blobName }) => {
    const place = await uploads.begin(deviceOf(request, false).deviceId, blobNameFrom(blobName))
    return jsonTextAnswer(200, asciiJson(place))
  })
  add('/notifications', (request, given) => end(request, given))
  add('/notifications/:id', (request, given) => end(request, given, request.parameter(1)))
}

interface GivenUpload {
  readonly blobName?: unknown
  readonly correlationId?: unknown
  readonly isSuccess?: unknown
}

/** @throws INGEST_BODY_MALFORMED */
function uploadFrom(body: Buffer): GivenUpload {
  try {
    const given: unknown = JSON.parse(body.toString('utf8'))
    if (typeof given === 'object' && given !== null) return given
  } catch {
    // Told below.
  }
  throw new PenstockError('INGEST_BODY_MALFORMED', 'the body is no JSON object')
}
