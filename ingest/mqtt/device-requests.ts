import type { DeviceRequestKind } from '#ingest/session/device-request.ts'
import { methodAnswerPattern, twinReadPattern, twinReportPattern } from '#schemas/hub-topics.ts'
import { limits } from '#schemas/limits.ts'
import { textOf } from './fields.ts'

const dollar = 0x24

/** What a topic asks for. */
export interface RequestTopic {
  readonly kind: DeviceRequestKind
  readonly requestId: string
  readonly status: number
  readonly version: number | undefined
}

/**
 * The request of a topic; `undefined`: it is none. Whoever asks is answered also where there is nothing to tell: SDKs of the hub wait for
 * ever, and where the connection ends instead, those that ask with QoS 1 ask again on each new one.
 * @throws INGEST_FRAME_MALFORMED (not UTF-8)
 */
export function requestOf(topic: Buffer): RequestTopic | undefined {
  // HOT: once a new topic, which with a message id in it is once a message: others differ in the first byte.
  if (topic[0] !== dollar || topic.length > limits.topicBytesMax) return undefined
  const text = textOf(topic)
  let match = twinReadPattern.exec(text)
  if (match?.[1] !== undefined) return { kind: 'twinRead', requestId: match[1], status: 0, version: undefined }
  match = twinReportPattern.exec(text)
  if (match?.[1] !== undefined) {
    const version = match[2] === undefined ? undefined : Number(match[2])
    return { kind: 'twinReport', requestId: match[1], status: 0, version }
  }
  match = methodAnswerPattern.exec(text)
  if (match?.[2] === undefined) return undefined
  return { kind: 'methodAnswer', requestId: match[2], status: Number(match[1]), version: undefined }
}
