/**
 * A payload as JSON, one row:
 *
 *   {"type":"DDATA","group":"plant","node":"press-7","device":"pump","time":"2026-01-31T12:00:00.000Z","seq":3,
 *    "metrics":[{"name":"temperature","type":"Float","time":"…","value":21.5}],"values":{"temperature":21.5}}
 *
 * `metrics` has all that came, in order; `values` the last value of each name, without those that are historical. A metric whose name is
 * not known here has its `alias` instead.
 */
import { ObjectText, objectText } from '#runtime/json-text.ts'
import { readMessage } from '#runtime/protobuf/read-message.ts'
import { MalformedMessage } from '#runtime/protobuf/shape.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricNames } from './metric-names.ts'
import { datatypeName, momentText, valueText } from './metric-value.ts'
import { type Metric, type Payload, payload } from './payload-shape.ts'
import type { SparkplugTopic } from './sparkplug-topic.ts'

/**
 * @param names are told of births and deaths
 * @returns `undefined`: it is no payload of Sparkplug B, holds what that does not define, or becomes larger than a message may be
 */
export function payloadRow(topic: SparkplugTopic, bytes: Buffer, names: MetricNames): Buffer | undefined {
  const read = payloadIn(bytes)
  if (read === undefined || read.body !== undefined) return undefined
  const { timestamp, seq, metrics = [] } = read
  if (topic.type.endsWith('BIRTH')) names.birth(topic, metrics)
  const values = new Map<string, string>()
  let list = ''
  for (const metric of metrics) {
    list += `${list === '' ? '' : ','}${metricText(topic, metric, names, values)}`
    if (list.length > limits.bodyBytesMax) return undefined
  }
  names.death(topic)
  const row = new ObjectText()
    .putText('type', topic.type)
    .putText('group', topic.group)
    .putText('node', topic.node)
    .putText('device', topic.device)
    .put('time', momentText(timestamp))
    .put('seq', seq)
    .put('metrics', `[${list}]`)
    .put('values', objectText(values))
  const body = Buffer.from(String(row))
  return body.length > limits.bodyBytesMax ? undefined : body
}

function payloadIn(bytes: Buffer): Payload | undefined {
  try {
    return readMessage(payload, bytes)
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}

function metricText(topic: SparkplugTopic, metric: Metric, names: MetricNames, values: Map<string, string>): string {
  const born = names.of(topic, metric)
  const name = metric.name || born?.name
  const type = datatypeName(metric.datatype ?? born?.datatype)
  const value = valueText(metric, type)
  if (name !== undefined && !metric.isHistorical) values.set(name, value)
  return String(
    new ObjectText()
      .putText('name', name)
      .put('alias', name === undefined ? metric.alias : undefined)
      .putText('type', type)
      .put('time', momentText(metric.timestamp))
      .put('historical', metric.isHistorical ? 'true' : undefined)
      .put('transient', metric.isTransient ? 'true' : undefined)
      .put('value', value),
  )
}
