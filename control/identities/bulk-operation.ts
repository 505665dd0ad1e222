import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { withWarning } from '#control/rest/operation.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { limits } from '#schemas/limits.ts'
import { contentFrom } from './documents.ts'
import type { BulkMode, BulkOperation, Identities } from './identities.ts'
import { argumentFault, topicWarning } from './identity.ts'

const modes: Readonly<Record<string, BulkMode>> = {
  create: 'create',
  update: 'update',
  updateifmatchetag: 'updateIfMatchEtag',
  delete: 'delete',
  deleteifmatchetag: 'deleteIfMatchEtag',
  createorupdate: 'createOrUpdate',
  createorupdateifmatchetag: 'createOrUpdateIfMatchEtag',
}

/** The hub's other modes, of what is not kept here. */
const twinModes = new Set(['updatetwin', 'updatetwinifmatchetag'])

interface BulkError {
  readonly deviceId: string
  readonly moduleId?: string
  readonly errorCode: number
  readonly errorStatus: string
  readonly operation: string
}

/** Runs `[{id, importMode, eTag?, status, authentication, …}]`: 200 if all were done, 400 with what was refused otherwise. */
export async function bulkAnswer(identities: Identities, document: unknown): Promise<HttpAnswer> {
  if (!Array.isArray(document)) throw argumentFault('the body must be a JSON array')
  if (document.length === 0 || document.length > limits.bulkOperationsMax) {
    throw argumentFault(`a bulk request holds 1 to ${limits.bulkOperationsMax} operations`)
  }
  const errors: BulkError[] = []
  const operations: { readonly operation: BulkOperation; readonly item: JsonObject }[] = []
  for (const item of document) {
    if (!isObject(item)) throw argumentFault('each operation must be a JSON object')
    try {
      operations.push({ operation: operationFrom(item), item })
    } catch (error) {
      errors.push(errorOf(item, error))
    }
  }
  const outcomes = operations.length === 0 ? [] : await identities.bulk(operations.map(({ operation }) => operation))
  for (const [index, outcome] of outcomes.entries()) {
    const item = operations[index]?.item
    if (outcome && item) errors.push(errorOf(item, outcome))
  }
  const warned = operations.filter(
    ({ operation: { mode, content } }, index) =>
      mode.startsWith('create') && !outcomes[index] && topicWarning(content) !== undefined,
  )
  // The list of warnings is for codes that clients of the hub know.
  return withWarning(
    jsonAnswer(errors.length === 0 ? 200 : 400, { isSuccessful: errors.length === 0, errors, warnings: [] }),
    warned[0] && `${topicWarning(warned[0].operation.content)}; ${warned.length} such ids in this request`,
  )
}

function operationFrom(item: JsonObject): BulkOperation {
  const name = textOf(item.importMode).toLowerCase()
  if (twinModes.has(name)) throw argumentFault(`${item.importMode}: device twins are not offered; nothing was changed`)
  const mode = Object.hasOwn(modes, name) ? modes[name] : undefined
  if (!mode) throw argumentFault(`importMode must be one of ${Object.values(modes).join(', ')}`)
  const id = { deviceId: idOf(item), moduleId: textOf(item.moduleId) || undefined }
  const etag = textOf(item.eTag ?? item.etag).replace(/^"(.*)"$/, '$1')
  return { mode, content: contentFrom({ ...item, deviceId: undefined }, id), etag: etag || undefined }
}

function errorOf(item: JsonObject, error: unknown): BulkError {
  const { number } = hubFaultOf(error)
  const moduleId = textOf(item.moduleId)
  return {
    deviceId: idOf(item),
    ...(moduleId === '' ? {} : { moduleId }),
    errorCode: number,
    errorStatus: isPenstockError(error) ? error.message : 'the operation could not be carried out',
    operation: textOf(item.importMode),
  }
}

function idOf(item: JsonObject): string {
  return textOf(item.id ?? item.deviceId)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
