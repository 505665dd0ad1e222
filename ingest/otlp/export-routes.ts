/**
 * Metrics and logs of OpenTelemetry, as SDKs and collectors send them over OTLP/HTTP:
 *
 *   POST [/devices/{d}[/modules/{m}]]/v1/metrics     ExportMetricsServiceRequest
 *   POST [/devices/{d}[/modules/{m}]]/v1/logs        ExportLogsServiceRequest
 *   POST [/devices/{d}[/modules/{m}]]/v1/traces      404: an SDK sends them too if it is not told otherwise
 *
 * In protobuf or JSON, which the Content-Type tells. `sender-name.ts` says who sends. What cannot be stored of a request is told as its
 * partial success; a request that cannot be read is refused as a whole.
 */
import type { PointFormat } from '#ingest/device-api/row-list.ts'
import { decodedBody } from '#ingest/http/content-coding.ts'
import { type AuthorizeRequest, admitDevice } from '#ingest/http/device-gate.ts'
import { senderOf, senderPaths } from '#ingest/http/sender-name.ts'
import { requireRoom, storePoints } from '#ingest/http/store-request.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { readJsonMessage } from '#runtime/protobuf/read-json.ts'
import { readMessage } from '#runtime/protobuf/read-message.ts'
import { MalformedMessage, type MessageShape } from '#runtime/protobuf/shape.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type Encoding, noTracesAnswer, otlpFaultAnswer, requireEncoding, successAnswer } from './export-answers.ts'
import { exportTold, noTracesTold } from './export-told.ts'
import { logRows } from './log-rows.ts'
import { logsRequest } from './log-shapes.ts'
import { metricRows } from './metric-rows.ts'
import { metricsRequest } from './metric-shapes.ts'
import type { RowMaker } from './row-maker.ts'

interface Signal {
  readonly path: string
  readonly format: PointFormat
  readonly rejectedField: string
  readonly read: (encoding: Encoding, body: Buffer) => RowMaker
}

const signals: readonly Signal[] = [
  {
    path: '/v1/metrics',
    format: 'otlp-metrics',
    rejectedField: 'rejectedDataPoints',
    read: (encoding, body) => metricRows(messageIn(encoding, metricsRequest, body)),
  },
  {
    path: '/v1/logs',
    format: 'otlp-logs',
    rejectedField: 'rejectedLogRecords',
    read: (encoding, body) => logRows(messageIn(encoding, logsRequest, body)),
  },
]

/** @param authorize `undefined`: every device is believed */
export function routeOtlp(
  router: HttpRouter,
  edge: EdgeContext,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
): void {
  for (const [, beginning] of senderPaths)
    router.route({ method: 'POST', pattern: `${beginning}/v1/traces`, told: noTracesTold, handle: noTracesAnswer })
  for (const [inPath, beginning] of senderPaths)
    for (const { path, format, rejectedField, read } of signals)
      router.route({
        method: 'POST',
        pattern: `${beginning}${path}`,
        told: exportTold,
        bodyBytesMax: limits.httpBodyBytesMax,
        tooLargeAnswer: (request) => otlpFaultAnswer(tooLarge(), request),
        noRoomAnswer: (request) => otlpFaultAnswer(noRoom(), request),
        admit(request) {
          requireEncoding(request)
          requireRoom(edge)
          const sender = senderOf(request, inPath)
          return admitDevice(edge, authorize, tls, sender, request, sender.secret)
        },
        handle(request, sent) {
          const encoding = requireEncoding(request)
          return storePoints(edge, senderOf(request, inPath), format, () => {
            const { rows, refusedCount, refusal } = read(
              encoding,
              decodedBody(sent, request.header('content-encoding')),
            )
            const answer = successAnswer(encoding, rejectedField, refusedCount, refusal)
            return { messages: rows.messages, bodyBytes: rows.bodyBytes, refusedCount, answer }
          })
        },
        faultAnswer: otlpFaultAnswer,
      })
}

function tooLarge(): PenstockError {
  return new PenstockError('INGEST_FRAME_TOO_LARGE', `more than ${limits.httpBodyBytesMax} bytes; send smaller batches`)
}

function noRoom(): PenstockError {
  return new PenstockError('INGEST_OVERLOADED', 'too many requests are under way at the moment')
}

/** @throws INGEST_BODY_MALFORMED */
function messageIn<T extends object>(encoding: Encoding, shape: MessageShape<T>, body: Buffer): T {
  try {
    return encoding === 'protobuf' ? readMessage(shape, body) : readJsonMessage(shape, body)
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error
    throw new PenstockError('INGEST_BODY_MALFORMED', `the body is not what its path says: ${error.message}`)
  }
}
