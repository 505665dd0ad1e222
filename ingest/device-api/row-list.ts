/** Messages that are made of points, whatever they were sent as: a body of JSON each, and properties that many of them share. */

import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { messageProperties } from './message-properties.ts'
import type { MessageProperties, TelemetryMessage } from './telemetry.ts'

/** Names of formats, as rows and metrics have them. */
export type PointFormat = 'influxdb' | 'otlp-metrics' | 'otlp-logs' | 'sparkplug'

export function pointSystemProperties(format: PointFormat): ReadonlyMap<string, string> {
  return new Map([
    // With both of these routes can look into bodies.
    ['contentType', 'application/json'],
    ['contentEncoding', 'utf-8'],
    ['contentSchema', format],
  ])
}

/** Why what was measured cannot be a property of its rows; `undefined`: it can. */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'it has no name'
  const { pointNameLengthMax } = limits
  return name.length > pointNameLengthMax ? `its name has more than ${pointNameLengthMax} characters` : undefined
}

export class RowList {
  readonly messages: TelemetryMessage[] = []
  bodyBytes = 0
  /** Also of rows that were refused: making them takes time, and a few bytes that all of them have may be many. */
  #madeBytes = 0
  readonly #system: ReadonlyMap<string, string>

  /** @param format of what the rows were made of, told as their `contentSchema` */
  constructor(format: PointFormat) {
    this.#system = pointSystemProperties(format)
  }

  /** Properties of rows, to be given with each that has them. @throws INGEST_FRAME_TOO_LARGE */
  propertiesWith(application: Readonly<Record<string, string>>): MessageProperties {
    return messageProperties(new Map(Object.entries(application)), this.#system)
  }

  /**
   * @returns why the row cannot be stored
   * @throws INGEST_FRAME_TOO_LARGE once all together are too much, before more memory and time is spent on them [G-4]
   */
  add(row: string, properties: MessageProperties): string | undefined {
    const body = Buffer.from(row)
    this.#madeBytes += body.length
    if (this.#madeBytes > limits.httpEnvelopeBytesMax) {
      const text = `points that have more than ${limits.httpEnvelopeBytesMax} bytes as JSON; send smaller batches`
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', text)
    }
    if (body.length > limits.bodyBytesMax)
      return `as JSON it has ${body.length} bytes; at most ${limits.bodyBytesMax} are allowed`
    if (this.messages.length >= limits.httpMessagesMax)
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', `more than ${limits.httpMessagesMax} points in one request`)
    this.bodyBytes += body.length
    this.messages.push({ body, properties })
    return undefined
  }
}
