/** What metrics and logs of OTLP share (opentelemetry-proto 1.x: common.proto, resource.proto). */
import { aBool, aDouble, aMessage, anInt64, aString, listOf, MessageShape, someBytes } from '#runtime/protobuf/shape.ts'

export interface AnyValue {
  readonly stringValue?: string
  readonly boolValue?: boolean
  readonly intValue?: string
  readonly doubleValue?: number
  readonly arrayValue?: { readonly values?: readonly AnyValue[] }
  readonly kvlistValue?: { readonly values?: readonly KeyValue[] }
  readonly bytesValue?: Buffer
}

export interface KeyValue {
  readonly key?: string
  readonly value?: AnyValue
}

export interface Resource {
  readonly attributes?: readonly KeyValue[]
}

export interface Scope {
  readonly name?: string
  readonly version?: string
  readonly attributes?: readonly KeyValue[]
}

export const anyValue: MessageShape<AnyValue> = new MessageShape(() => ({
  stringValue: aString(1),
  boolValue: aBool(2),
  intValue: anInt64(3),
  doubleValue: aDouble(4),
  arrayValue: aMessage(5, arrayValue),
  kvlistValue: aMessage(6, keyValueList),
  bytesValue: someBytes(7),
}))

const arrayValue = new MessageShape<{ readonly values?: readonly AnyValue[] }>(() => ({
  values: listOf(aMessage(1, anyValue)),
}))

const keyValueList = new MessageShape<{ readonly values?: readonly KeyValue[] }>(() => ({
  values: listOf(aMessage(1, keyValue)),
}))

export const keyValue: MessageShape<KeyValue> = new MessageShape(() => ({
  key: aString(1),
  value: aMessage(2, anyValue),
}))

export const resource = new MessageShape<Resource>(() => ({ attributes: listOf(aMessage(1, keyValue)) }))

export const scope = new MessageShape<Scope>(() => ({
  name: aString(1),
  version: aString(2),
  attributes: listOf(aMessage(3, keyValue)),
}))
