import { type BulkStep, errorOf, stepFrom } from '#control/identities/bulk-steps.ts'
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { isWithinDepth } from '#runtime/json-depth.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { BlobLine } from './blob-lines.ts'

/** What a line says: an operation, or why it is none. A line of blanks is neither. */
export interface ImportLine extends Pick<BlobLine, 'number' | 'end'> {
  readonly item: JsonObject
  readonly step: BulkStep | undefined
  readonly fault: Error | undefined
}

/** Around the properties of a twin. */
const depthMax = limits.twinDepthMax + 8
const byteOrderMark = /^\ufeff/

/** Without an import mode a line creates or updates, as the hub has it. */
export function importLine({ text, number, end }: BlobLine): ImportLine {
  const none = { number, end, item: {}, step: undefined, fault: undefined }
  const trimmed = Buffer.from(text).toString('utf8').replace(byteOrderMark, '').trim()
  if (trimmed === '') return none
  let item: JsonObject = {}
  try {
    const said = objectFrom(text, trimmed)
    item = { ...said, importMode: said.importMode ?? 'createOrUpdate' }
    return { ...none, item, step: stepFrom(item) }
  } catch (error) {
    if (!isPenstockError(error)) throw error
    return { ...none, item, fault: error }
  }
}

/** A line for whoever began the import. */
export function refusalText({ number, item }: ImportLine, fault: Error): string {
  return `${JSON.stringify({ line: number, ...errorOf(item, fault) })}\n`
}

function objectFrom(bytes: Uint8Array, text: string): JsonObject {
  if (!isWithinDepth(bytes, depthMax)) throw lineFault(`it nests deeper than ${depthMax}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw lineFault('it is not JSON')
  }
  if (!isObject(value)) throw lineFault('it is not a JSON object')
  return value
}

function lineFault(message: string): PenstockError {
  return new PenstockError('REGISTRY_BODY_MALFORMED', message)
}
