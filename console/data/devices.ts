/** Identities and twins, as the public REST API has them. Lists come without keys: a twin has none. */
import type { JsonCheck } from '#runtime/json-check.ts'
import { aNumber, aText, listOf, mapOf, optional, recordOf } from '#runtime/json-check.ts'
import { answerOf, json, send } from './call.ts'

/** Any JSON object. */
export type Document = Readonly<Record<string, unknown>>

const anything: JsonCheck<unknown> = (value) => value
const document: JsonCheck<Document> = mapOf(anything)

export interface Twin {
  readonly deviceId: string
  readonly moduleId: string | undefined
  readonly etag: string
  readonly status: string
  readonly connectionState: string
  readonly lastActivityTime: string
  readonly cloudToDeviceMessageCount: number
  readonly authenticationType: string
  readonly modelId: string | undefined
  readonly version: number
  readonly tags: Document
  readonly properties: { readonly desired: Document; readonly reported: Document }
}

const twin = recordOf<Twin>({
  deviceId: aText,
  moduleId: optional(aText),
  etag: aText,
  status: aText,
  connectionState: aText,
  lastActivityTime: aText,
  cloudToDeviceMessageCount: aNumber,
  authenticationType: aText,
  modelId: optional(aText),
  version: aNumber,
  tags: document,
  properties: recordOf<Twin['properties']>({ desired: document, reported: document }),
})

/** Of a device or module; has its keys. */
export interface Identity {
  readonly deviceId: string
  readonly moduleId: string | undefined
  readonly etag: string
  readonly generationId: string
  readonly connectionState: string
  readonly lastActivityTime: string
  /** All of it, to be sent back. */
  readonly whole: Document
  readonly authentication: { readonly type: string; readonly primaryKey: string; readonly secondaryKey: string }
}

const keys = recordOf<{ readonly primaryKey: string | undefined; readonly secondaryKey: string | undefined }>({
  primaryKey: optional(aText),
  secondaryKey: optional(aText),
})
const authentication: JsonCheck<Identity['authentication']> = (value) => {
  const { type, symmetricKey } = recordOf<{
    readonly type: string
    readonly symmetricKey: { readonly primaryKey: string | undefined; readonly secondaryKey: string | undefined }
  }>({ type: aText, symmetricKey: keys })(value)
  return { type, primaryKey: symmetricKey.primaryKey ?? '', secondaryKey: symmetricKey.secondaryKey ?? '' }
}

const fieldsOfIdentity = recordOf<Omit<Identity, 'whole'>>({
  deviceId: aText,
  moduleId: optional(aText),
  etag: aText,
  generationId: aText,
  connectionState: aText,
  lastActivityTime: aText,
  authentication,
})
const identity: JsonCheck<Identity> = (value) => ({ ...fieldsOfIdentity(value), whole: document(value) })

/** What a list shows of a device: `SELECT *` would bring whole twins. */
export interface ListedDevice {
  readonly deviceId: string
  readonly status: string
  readonly connectionState: string
  /** Left out: never. */
  readonly lastActivityTime: string | undefined
  readonly modelId: string
  readonly tags: Document
}

/** To be selected for a `ListedDevice`. */
export const listedFields = 'deviceId, status, connectionState, lastActivityTime, modelId, tags'

const listedDevice = recordOf<ListedDevice>({
  deviceId: aText,
  status: aText,
  connectionState: aText,
  lastActivityTime: optional(aText),
  modelId: aText,
  tags: document,
})

export interface QueryPage<Row> {
  readonly rows: readonly Row[]
  /** Empty on the last page. */
  readonly continuation: string
}

/** A page of what a query of the hub's language finds. @throws as `json` */
async function queryPage<Row>(
  check: JsonCheck<Row>,
  query: string,
  countMax: number,
  signal: AbortSignal,
  continuation = '',
): Promise<QueryPage<Row>> {
  const headers = {
    'x-ms-max-item-count': String(countMax),
    ...(continuation === '' ? {} : { 'x-ms-continuation': continuation }),
  }
  const response = await answerOf('/devices/query', { method: 'POST', body: { query }, headers, signal })
  return {
    rows: listOf(check)(await response.json()),
    continuation: response.headers.get('x-ms-continuation') ?? '',
  }
}

/** @param query selects `listedFields` @throws as `json` */
export function queryListed(
  query: string,
  countMax: number,
  continuation: string,
  signal: AbortSignal,
): Promise<QueryPage<ListedDevice>> {
  return queryPage(listedDevice, query, countMax, signal, continuation)
}

/** The first twin of which a condition is true, in the order of ids; a query, since asking for what is not there is an error to browsers. */
export async function firstTwin(condition: string, signal: AbortSignal): Promise<Twin | undefined> {
  const { rows } = await queryPage(twin, `SELECT * FROM devices WHERE ${condition}`, 1, signal)
  return rows[0]
}

export interface FleetCount {
  readonly totalDeviceCount: number
  readonly enabledDeviceCount: number
  readonly disabledDeviceCount: number
}

export function fleetCount(signal: AbortSignal): Promise<FleetCount> {
  const check = recordOf<FleetCount>({
    totalDeviceCount: aNumber,
    enabledDeviceCount: aNumber,
    disabledDeviceCount: aNumber,
  })
  return json(check, '/statistics/devices', { signal })
}

export async function connectedCount(signal: AbortSignal): Promise<number> {
  const check = recordOf<{ readonly connectedDeviceCount: number }>({ connectedDeviceCount: aNumber })
  return (await json(check, '/statistics/service', { signal })).connectedDeviceCount
}

/** Of a device, or of a module of it. */
export function pathOf(collection: 'devices' | 'twins', deviceId: string, moduleId?: string): string {
  const path = `/${collection}/${encodeURIComponent(deviceId)}`
  return moduleId === undefined ? path : `${path}/modules/${encodeURIComponent(moduleId)}`
}

/** The twin of a device; `undefined` if it is not registered. */
export function findTwin(deviceId: string, signal: AbortSignal): Promise<Twin | undefined> {
  return firstTwin(`deviceId = ${queryText(deviceId)}`, signal)
}

/** A text of the query language: it ends at its quote, and knows no other escape than the other quote. */
export function queryText(text: string): string {
  return text.includes("'") ? `"${text.replaceAll('"', '')}"` : `'${text}'`
}

/** @param etag the twin that was seen; another one is refused with 412 */
export function patchTwin(deviceId: string, etag: string, patch: Document, signal: AbortSignal): Promise<Twin> {
  const headers = { 'If-Match': `"${etag}"` }
  return json(twin, pathOf('twins', deviceId), { method: 'PATCH', body: patch, headers, signal })
}

/** With its keys: ask for it only where somebody wants to see them, or changes it. */
export function readIdentity(deviceId: string, signal?: AbortSignal): Promise<Identity> {
  return json(identity, pathOf('devices', deviceId), { signal })
}

export function createDevice(deviceId: string, signal: AbortSignal): Promise<Identity> {
  return json(identity, pathOf('devices', deviceId), { method: 'PUT', body: { deviceId }, signal })
}

export function readModules(deviceId: string, signal: AbortSignal): Promise<readonly Identity[]> {
  return json(listOf(identity), `${pathOf('devices', deviceId)}/modules`, { signal })
}

export function createModule(deviceId: string, moduleId: string, signal: AbortSignal): Promise<Identity> {
  const body = { deviceId, moduleId }
  return json(identity, pathOf('devices', deviceId, moduleId), { method: 'PUT', body, signal })
}

/** @param change what is set of the identity, as the API has it */
export async function changeDevice(deviceId: string, change: Document, signal: AbortSignal): Promise<void> {
  const { whole, etag } = await readIdentity(deviceId, signal)
  const headers = { 'If-Match': `"${etag}"` }
  await send(pathOf('devices', deviceId), { method: 'PUT', body: { ...whole, ...change }, headers, signal })
}

export function deleteIdentity(deviceId: string, signal: AbortSignal, moduleId?: string): Promise<void> {
  return send(pathOf('devices', deviceId, moduleId), { method: 'DELETE', headers: { 'If-Match': '*' }, signal })
}

/** The hub's time of a text; its year 1 is never. */
export function timeOf(text: string): number {
  return Math.max(Date.parse(text) || 0, 0)
}
