import { type DocumentReader, kindOf, pathOf } from '#runtime/document-reader.ts'
import { limits } from '#schemas/limits.ts'
import type { FieldType, ModelField, ModelNote } from '#schemas/models/model.ts'
import { viewColumn } from '#schemas/models/model-sql.ts'

/** What stands for one value of a body: a type, or lists of it. */
export interface ValueType {
  readonly type: FieldType
  readonly isList: boolean
}

/** Gathers the fields that a document has, and what it says besides. */
export class FieldList {
  readonly fields: ModelField[] = []
  readonly leftAside: ModelNote[] = []
  readonly #reader: DocumentReader
  readonly #columns = new Map<string, string>()

  constructor(reader: DocumentReader) {
    this.#reader = reader
  }

  /** @param at where the document has it */
  add(at: string, path: readonly string[], { type, isList }: ValueType): void {
    const field: ModelField = { name: path.join('_'), path, type, isList }
    const column = viewColumn(field)
    const other = this.#columns.get(column)
    if (other !== undefined) this.#reader.fault(at, `gives the column ${column}, as ${other} does`)
    else if (this.fields.length === limits.modelFieldsMax)
      this.#reader.fault(at, `is one field too many: allowed are ${limits.modelFieldsMax}`)
    else {
      this.#columns.set(column, at)
      this.fields.push(field)
    }
  }

  leave(path: string, message: string): void {
    this.leftAside.push({ path, message })
  }

  /** The name of a field in bodies: any characters that can be seen. */
  name(at: string, value: unknown): string | undefined {
    if (typeof value !== 'string') this.#reader.fault(at, `a name is expected, this is ${kindOf(value)}`)
    else if (value === '' || value.length > limits.modelFieldNameLengthMax)
      this.#reader.fault(at, `a name has 1 to ${limits.modelFieldNameLengthMax} characters`)
    else if (/[\p{Cc}\p{Cs}]/u.test(value))
      this.#reader.fault(at, 'a name has no control characters, and no half of a character')
    else return value
    return undefined
  }
}

/** What is told of everything that holds telemetry and is not read. */
export function refuse(reader: DocumentReader, path: string, name: string, instead: string): void {
  reader.fault(pathOf(path, name), `is not read: ${instead}`)
}
