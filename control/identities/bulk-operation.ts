import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { withWarning } from '#control/rest/operation.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { limits } from '#schemas/limits.ts'
import { contentFrom } from './documents.ts'
import type { BulkMode, BulkOperation, Identities, TwinItem, UpdateTwins } from './identities.ts'
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

/** The hub's other modes, of what goes with an identity. */
const twinModes = new Set(['updatetwin', 'updatetwinifmatchetag'])

interface BulkError {
  readonly deviceId: string
  readonly moduleId?: string
  readonly errorCode: number
  readonly errorStatus: string
  readonly operation: string
}

/** Runs `[{id, importMode, eTag?, status, authentication, …}]`: 200 if all were done, 400 with what was refused otherwise. */
export async function bulkAnswer(
  identities: Identities,
  updateTwins: UpdateTwins,
  document: unknown,
): Promise<HttpAnswer> {
  if (!Array.isArray(document)) throw argumentFault('the body must be a JSON array')
  if (document.length === 0 || document.length > limits.bulkOperationsMax) {
    throw argumentFault(`a bulk request holds 1 to ${limits.bulkOperationsMax} operations`)
  }
  const errors: BulkError[] = []
  const steps: Step[] = []
  for (const item of document) {
    if (!isObject(item)) throw argumentFault('each operation must be a JSON object')
    try {
      steps.push(stepFrom(item))
    } catch (error) {
      errors.push(errorOf(item, error))
    }
  }
  const warned: IdentityStep[] = []
  for (const run of runsOf(steps)) {
    const outcomes =
      run.kind === 'identities'
        ? await identities.bulk(run.steps.map(({ operation }) => operation))
        : await updateTwins(run.steps.map(({ twin }) => twin))
    for (const [index, step] of run.steps.entries()) {
      const outcome = outcomes[index]
      if (outcome) errors.push(errorOf(step.item, outcome))
      else if (step.kind === 'identities' && isWarnedOf(step)) warned.push(step)
    }
  }
  // The list of warnings is for codes that clients of the hub know.
  return withWarning(
    jsonAnswer(errors.length === 0 ? 200 : 400, { isSuccessful: errors.length === 0, errors, warnings: [] }),
    warned[0] && `${topicWarning(warned[0].operation.content)}; ${warned.length} such ids in this request`,
  )
}

interface IdentityStep {
  readonly kind: 'identities'
  readonly item: JsonObject
  readonly operation: BulkOperation
}

interface TwinStep {
  readonly kind: 'twins'
  readonly item: JsonObject
  readonly twin: TwinItem
}

type Step = IdentityStep | TwinStep

type Run =
  | { readonly kind: 'identities'; readonly steps: IdentityStep[] }
  | { readonly kind: 'twins'; readonly steps: TwinStep[] }

/** Neighbours of one kind go together, so that all are done in their order. */
function runsOf(steps: readonly Step[]): Run[] {
  const runs: Run[] = []
  for (const step of steps) {
    const last = runs.at(-1)
    if (step.kind === 'identities') {
      if (last?.kind === 'identities') last.steps.push(step)
      else runs.push({ kind: 'identities', steps: [step] })
    } else if (last?.kind === 'twins') last.steps.push(step)
    else runs.push({ kind: 'twins', steps: [step] })
  }
  return runs
}

function isWarnedOf({ operation: { mode, content } }: IdentityStep): boolean {
  return mode.startsWith('create') && topicWarning(content) !== undefined
}

function stepFrom(item: JsonObject): Step {
  return twinModes.has(textOf(item.importMode).toLowerCase())
    ? { kind: 'twins', item, twin: twinItemFrom(item) }
    : { kind: 'identities', item, operation: operationFrom(item) }
}

function twinItemFrom(item: JsonObject): TwinItem {
  const isMatching = textOf(item.importMode).toLowerCase() === 'updatetwinifmatchetag'
  const etag = unquoted(item.twinETag ?? item.eTag ?? item.etag)
  if (isMatching && etag === '') throw argumentFault(`${item.importMode} of ${idOf(item)} needs a twinETag`)
  const id = { deviceId: idOf(item), moduleId: textOf(item.moduleId) || undefined }
  return { id, document: item, etag: isMatching && etag !== '*' ? etag : undefined }
}

function operationFrom(item: JsonObject): BulkOperation {
  const name = textOf(item.importMode).toLowerCase()
  const mode = Object.hasOwn(modes, name) ? modes[name] : undefined
  if (!mode)
    throw argumentFault(
      `importMode must be one of ${[...Object.values(modes), 'updateTwin', 'updateTwinIfMatchETag'].join(', ')}`,
    )
  const id = { deviceId: idOf(item), moduleId: textOf(item.moduleId) || undefined }
  const etag = unquoted(item.eTag ?? item.etag)
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

function unquoted(value: unknown): string {
  return textOf(value).replace(/^"(.*)"$/, '$1')
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
