import { isObject } from '#control/rest/json-body.ts'
import { DocumentReader } from '#runtime/document-reader.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { ModelNote, ReadModel } from '#schemas/models/model.ts'
import { readDtdl } from './read-dtdl.ts'
import { readJsonSchema } from './read-json-schema.ts'

/** A document that is no model, with every fault of it. */
export class ModelRefused extends PenstockError {
  readonly problems: readonly ModelNote[]

  constructor(problems: readonly ModelNote[]) {
    const [first] = problems
    const more = problems.length > 1 ? `, and ${problems.length - 1} more` : ''
    super('MODEL_INVALID', `${first?.path || 'the document'}: ${first?.message}${more}`)
    this.problems = problems
  }
}

/** Reads a document as what it says it is: DTDL where it has an `@context` or `@type`, else a JSON Schema. @throws ModelRefused */
export function readModel(json: unknown): ReadModel {
  const reader = new DocumentReader()
  const isDtdl = Array.isArray(json) || (isObject(json) && (json['@context'] ?? json['@type']) !== undefined)
  const model = isDtdl ? readDtdl(json, reader) : readJsonSchema(json, reader)
  if (model.fields.length === 0 && !reader.isFaulty) reader.fault('', 'names no field that devices send')
  if (reader.isFaulty)
    throw new ModelRefused(
      reader.problems.slice(0, limits.modelFaultsMax).map(({ path, message }) => ({ path, message })),
    )
  return model
}
