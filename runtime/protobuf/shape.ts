/**
 * Shapes of protobuf messages, of which both encodings are read: bytes (`read-message.ts`) and JSON (`read-json.ts`). What is read has the
 * names of a shape, and of a field that is given more than once the last value. 64-bit numbers are decimal text, which keeps all digits.
 */

export type Scalar =
  | 'string'
  | 'bytes'
  /** Bytes that JSON has in hexadecimal, as OTLP has it for ids. */
  | 'id'
  | 'bool'
  | 'double'
  | 'float'
  | 'int32'
  | 'uint32'
  | 'sint32'
  | 'fixed32'
  | 'int64'
  | 'uint64'
  | 'fixed64'
  | 'sfixed64'

export interface Field<T> {
  readonly number: number
  readonly kind: Scalar | MessageShape<object>
  readonly isList: boolean
  /** Never there: what the field becomes, for the compiler. */
  readonly becomes?: T
}

export interface NamedField extends Field<unknown> {
  readonly name: string
}

type FieldsOf<T> = { readonly [Name in keyof T]-?: Field<Exclude<T[Name], undefined>> }

export class MessageShape<T extends object> {
  readonly #fields: () => FieldsOf<T>
  #list: readonly NamedField[] | undefined
  #byNumber: ReadonlyMap<number, NamedField> | undefined

  /** @param fields is called later: a shape may hold itself */
  constructor(fields: () => FieldsOf<T>) {
    this.#fields = fields
  }

  get fields(): readonly NamedField[] {
    this.#list ??= Object.entries<Field<unknown>>(this.#fields()).map(([name, field]) => ({ name, ...field }))
    return this.#list
  }

  get byNumber(): ReadonlyMap<number, NamedField> {
    this.#byNumber ??= new Map(this.fields.map((field) => [field.number, field]))
    return this.#byNumber
  }
}

const scalar =
  <T>(kind: Scalar) =>
  (number: number): Field<T> => ({ number, kind, isList: false })

export const aString = scalar<string>('string')
export const someBytes = scalar<Buffer>('bytes')
export const anId = scalar<Buffer>('id')
export const aBool = scalar<boolean>('bool')
export const aDouble = scalar<number>('double')
export const aFloat = scalar<number>('float')
/** Enumerations too. */
export const anInt32 = scalar<number>('int32')
export const anUint32 = scalar<number>('uint32')
export const aSint32 = scalar<number>('sint32')
export const aFixed32 = scalar<number>('fixed32')
export const anInt64 = scalar<string>('int64')
export const anUint64 = scalar<string>('uint64')
export const aFixed64 = scalar<string>('fixed64')
export const anSfixed64 = scalar<string>('sfixed64')

export function aMessage<T extends object>(number: number, shape: MessageShape<T>): Field<T> {
  return { number, kind: shape as unknown as MessageShape<object>, isList: false }
}

export function listOf<T>({ number, kind }: Field<T>): Field<readonly T[]> {
  return { number, kind, isList: true }
}

/** What is no message of its shape, or exceeds what is read of one. */
export class MalformedMessage extends Error {}
