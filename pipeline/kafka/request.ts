/** Requests that kafkajs does not know, or not as they are needed, over its connections. */
import { createRequire } from 'node:module'
import type { KafkaBroker } from './client.ts'

export interface Encoder {
  readonly buffer: Buffer
  writeInt8(value: number): Encoder
  writeInt16(value: number): Encoder
  writeInt32(value: number): Encoder
  writeInt64(value: string | number): Encoder
  writeBoolean(value: boolean): Encoder
  writeString(value: string): Encoder
  writeBytes(value: Buffer): Encoder
  writeArray(values: readonly Encoder[]): Encoder
  writeUVarInt(value: number): Encoder
  writeUVarIntString(value: string): Encoder
  writeUVarIntArray(values: readonly Encoder[]): Encoder
  writeBuffer(value: Buffer): Encoder
}

export interface Decoder {
  readInt16(): number
  readInt32(): number
  readInt64(): unknown
  readBoolean(): boolean
  readUVarInt(): number
  readUVarIntString(): string | null
  readUVarIntArray<T>(read: (decoder: Decoder) => T): T[] | null
  readBytes(length: number): Buffer
  readTaggedFields(): unknown
}

const required = createRequire(import.meta.url)
export const KafkaEncoder: new () => Encoder = required('kafkajs/src/protocol/encoder')
export const KafkaDecoder: new (bytes: Buffer) => Decoder = required('kafkajs/src/protocol/decoder')

export interface KafkaRequest<Answer, Result = Answer> {
  readonly request: {
    readonly apiKey: number
    readonly apiName: string
    readonly apiVersion: number
    readonly encode: () => Promise<Encoder>
  }
  readonly response: {
    readonly decode: (bytes: Buffer) => Promise<Answer>
    readonly parse: (answer: Answer) => Promise<Result>
  }
}

/** @throws what `parse` makes of the answer, and kafkajs's faults of connections */
export function sendRequest<Answer, Result>(
  broker: KafkaBroker,
  request: KafkaRequest<Answer, Result>,
): Promise<Result> {
  const send = Object.getOwnPropertySymbols(prototypeOf(broker)).find(
    ({ description }) => description === 'private:Broker:sendRequest',
  )
  const method: unknown = send && Reflect.get(broker, send)
  if (typeof method !== 'function') throw new Error('this is not the version of kafkajs that package.json names')
  return method.call(broker, request)
}

function prototypeOf(broker: KafkaBroker): object {
  let prototype: object = broker
  while (!Object.hasOwn(prototype, 'produce') && Object.getPrototypeOf(prototype) !== null)
    prototype = Object.getPrototypeOf(prototype)
  return prototype
}
