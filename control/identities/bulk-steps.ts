/** What many items, each of one identity, say of it and of its twin: read, and carried out in their order. */
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import type { Queries } from '#control/store/database.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { contentFrom } from './documents.ts'
import type { BulkChanges, BulkMode, BulkOperation, Identities, TwinItem, UpdateTwins } from './identities.ts'
import { argumentFault } from './identity.ts'

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
const twinModes = ['updateTwin', 'updateTwinIfMatchETag']

/** An item that was read. It has an operation, or a twin, or both. */
export interface BulkStep {
  readonly item: JsonObject
  readonly operation: BulkOperation | undefined
  /** Written once the operation was carried out. */
  readonly twin: TwinItem | undefined
}

/** `undefined`: done. */
export type StepOutcomes = readonly (Error | undefined)[]

export interface BulkError {
  readonly deviceId: string
  readonly moduleId?: string
  readonly errorCode: number
  readonly errorStatus: string
  readonly operation: string
}

/** Reads `{id, moduleId?, importMode, eTag?, status, authentication, …, twinETag?, tags?, properties?}`. @throws REGISTRY_ARGUMENT_INVALID */
export function stepFrom(item: JsonObject): BulkStep {
  const mode = textOf(item.importMode).toLowerCase()
  const id = { deviceId: idOf(item), moduleId: textOf(item.moduleId) || undefined }
  if (twinModes.some((name) => name.toLowerCase() === mode))
    return { item, operation: undefined, twin: twinItemFrom(item, id, true) }
  const operation = operationFrom(item, id)
  const isTwinGiven = isGiven(item.tags) || (isObject(item.properties) && isGiven(item.properties.desired))
  return {
    item,
    operation,
    twin: isTwinGiven && !operation.mode.startsWith('delete') ? twinItemFrom(item, id, false) : undefined,
  }
}

/**
 * Carries steps out, some at a time in one transaction.
 * @param alongside what else is to be committed with some of them, or else nothing is
 */
export async function runSteps(
  identities: Pick<Identities, 'bulk'>,
  updateTwins: UpdateTwins,
  steps: readonly BulkStep[],
  alongside: (queries: Queries, done: readonly BulkStep[], outcomes: StepOutcomes) => Promise<void> = async () => {},
): Promise<StepOutcomes> {
  const all: (Error | undefined)[] = []
  for (const run of runsOf(steps)) {
    let outcomes: StepOutcomes = []
    const operations = run.flatMap(({ operation }) => operation ?? [])
    await identities.bulk(operations, async (queries, changes) => {
      outcomes = await withTwins(run, changes, (items) => updateTwins(queries, items))
      await alongside(queries, run, outcomes)
    })
    all.push(...outcomes)
  }
  return all
}

/** What is told of an item that was refused. */
export function errorOf(item: JsonObject, error: unknown): BulkError {
  const { number } = hubFaultOf(error)
  const moduleId = shortened(item.moduleId)
  return {
    deviceId: shortened(item.id ?? item.deviceId),
    ...(moduleId === '' ? {} : { moduleId }),
    errorCode: number,
    errorStatus: isPenstockError(error) ? error.message : 'the operation could not be carried out',
    operation: shortened(item.importMode),
  }
}

/** Whatever was sent, what is told is no longer than an id. */
function shortened(value: unknown): string {
  return textOf(value).slice(0, limits.deviceIdBytesMax)
}

function idOf(item: JsonObject): string {
  return textOf(item.id ?? item.deviceId)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/**
 * The operations of a run are carried out before its twins. So an operation on an identity whose twin is written before it, or on the device of
 * one, begins another run.
 */
function runsOf(steps: readonly BulkStep[]): BulkStep[][] {
  const runs: BulkStep[][] = []
  let written = new Set<string>()
  for (const step of steps) {
    const run = runs.at(-1)
    const { deviceId } = step.operation?.content ?? step.twin?.id ?? { deviceId: '' }
    if (run === undefined || (step.operation !== undefined && written.has(deviceId))) {
      runs.push([step])
      written = new Set()
    } else run.push(step)
    if (step.twin) written.add(deviceId)
  }
  return runs
}

/** Writes the twins of those whose operation succeeded. One that was just made has no etag that anybody could know. */
async function withTwins(
  run: readonly BulkStep[],
  changes: BulkChanges,
  update: (items: readonly TwinItem[]) => Promise<StepOutcomes>,
): Promise<StepOutcomes> {
  let operationCount = 0
  const outcomes: (Error | undefined)[] = []
  const items: TwinItem[] = []
  const places: number[] = []
  for (const [place, { operation, twin }] of run.entries()) {
    const change = operation && changes[operationCount++]
    const fault = change instanceof Error ? change : undefined
    outcomes.push(fault)
    if (twin === undefined || fault) continue
    items.push(change === 'created' ? { ...twin, etag: undefined } : twin)
    places.push(place)
  }
  if (items.length > 0)
    for (const [index, outcome] of (await update(items)).entries()) outcomes[places[index] ?? 0] = outcome
  return outcomes
}

function twinItemFrom(item: JsonObject, id: IdentityId, isAlone: boolean): TwinItem {
  const isMatching = textOf(item.importMode).toLowerCase().endsWith('ifmatchetag')
  const etag = unquoted(item.twinETag ?? (isAlone ? (item.eTag ?? item.etag) : undefined))
  if (isAlone && isMatching && etag === '') throw argumentFault(`${item.importMode} of ${id.deviceId} needs a twinETag`)
  return { id, document: item, etag: isMatching && etag !== '*' && etag !== '' ? etag : undefined }
}

function operationFrom(item: JsonObject, id: IdentityId): BulkOperation {
  const name = textOf(item.importMode).toLowerCase()
  const mode = Object.hasOwn(modes, name) ? modes[name] : undefined
  if (!mode) throw argumentFault(`importMode must be one of ${[...Object.values(modes), ...twinModes].join(', ')}`)
  const etag = unquoted(item.eTag ?? item.etag)
  return { mode, content: contentFrom({ ...item, deviceId: undefined }, id), etag: etag || undefined }
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

function unquoted(value: unknown): string {
  return textOf(value).replace(/^"(.*)"$/, '$1')
}
