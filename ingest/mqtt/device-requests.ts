import type { DeviceRequestKind } from '#ingest/session/device-request.ts'
import {
  methodAnswerPattern,
  registerPattern,
  registrationStatusPattern,
  twinReadPattern,
  twinReportPattern,
} from '#schemas/hub-topics.ts'
import { limits } from '#schemas/limits.ts'
import { textOf } from './fields.ts'

const dollar = 0x24

/** What a topic asks for. */
export interface RequestTopic {
  readonly kind: DeviceRequestKind
  readonly requestId: string
  readonly status: number
  readonly version: number | undefined
  readonly operationId?: string
}

/**
 * The request of a topic; `undefined`: it is none. Whoever asks is answered also where there is nothing to tell: SDKs of the hub wait for
 * ever, and where the connection ends instead, those that ask with QoS 1 ask again on each new one.
 * @param registers the client is no device, and asks for nothing but its registration; no device asks for that
 * @throws INGEST_FRAME_MALFORMED (not UTF-8)
 */
export function requestOf(topic: Buffer, registers = false): RequestTopic | undefined {
  // HOT: once a new topic, which with a message id in it is once a message: others differ in the first byte.
  if (topic[0] !== dollar || topic.length > limits.topicBytesMax) return undefined
  const text = textOf(topic)
  return registers ? registrationOf(text) : (twinRequestOf(text) ?? methodAnswerOf(text))
}

const nothingMore = { status: 0, version: undefined } as const

function twinRequestOf(text: string): RequestTopic | undefined {
  const read = twinReadPattern.exec(text)?.[1]
  if (read !== undefined) return { ...nothingMore, kind: 'twinRead', requestId: read }
  const [, report, version] = twinReportPattern.exec(text) ?? []
  if (report === undefined) return undefined
  return {
    ...nothingMore,
    kind: 'twinReport',
    requestId: report,
    version: version === undefined ? undefined : Number(version),
  }
}

function methodAnswerOf(text: string): RequestTopic | undefined {
  const [, status, requestId] = methodAnswerPattern.exec(text) ?? []
  if (requestId === undefined) return undefined
  return { ...nothingMore, kind: 'methodAnswer', requestId, status: Number(status) }
}

function registrationOf(text: string): RequestTopic | undefined {
  const register = registerPattern.exec(text)?.[1]
  if (register !== undefined) return { ...nothingMore, kind: 'register', requestId: register }
  const [, requestId, operationId] = registrationStatusPattern.exec(text) ?? []
  if (requestId === undefined || operationId === undefined) return undefined
  return { ...nothingMore, kind: 'registrationStatus', requestId, operationId }
}
