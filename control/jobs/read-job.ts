/** Jobs as services write them. */
import { readMethodRequest } from '#control/methods/method-request.ts'
import { isObject, type JsonObject, jsonFrom } from '#control/rest/json-body.ts'
import { twinPatchFrom } from '#control/twins/twin-document.ts'
import type { TwinPatch } from '#control/twins/twins.ts'
import { isWithinDepth } from '#runtime/json-depth.ts'
import { PenstockError } from '#schemas/errors.ts'
import { idRule, isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { type DeviceJobType, deviceJobTypes, type NewJob } from './jobs.ts'

/** What lies around a payload of the most levels. */
const bodyDepthMax = limits.methodPayloadDepthMax + 2

const executionSecondsDefault = 3_600

/**
 * Reads `{"jobId","type","updateTwin" or "cloudToDeviceMethod","queryCondition","startTime","maxExecutionTimeInSeconds"}`.
 * @param checkCondition throws where a condition cannot be read
 * @throws JOB_INVALID, REGISTRY_BODY_MALFORMED, REGISTRY_QUERY_INVALID, and what a twin or a method is refused with
 */
export function readJob(
  id: string,
  body: Uint8Array,
  checkCondition: (condition: string) => void,
  nowMs: number,
): NewJob {
  if (!isWithinDepth(body, bodyDepthMax)) throw jobFault(`a job nests at most ${bodyDepthMax} levels deep`)
  const document = jsonFrom(body)
  if (!isObject(document)) throw jobFault('the body must be a JSON object')
  checkId(id, document.jobId)
  const { queryCondition: condition } = document
  if (typeof condition !== 'string' || condition.trim() === '')
    throw jobFault('queryCondition must be what stands behind WHERE in a query of devices, or * for all of them')
  checkCondition(condition)
  const type = typeFrom(document.type)
  return {
    id,
    type,
    condition,
    content: contentFrom(type, document),
    startAtMs: startFrom(document.startTime, nowMs),
    executionSeconds: executionFrom(document.maxExecutionTimeInSeconds),
  }
}

/** The patch of a job's content, for twins whose etag is `ifMatch`. @throws TWIN_INVALID */
export function readTwinUpdate(content: string): { readonly patch: TwinPatch; readonly ifMatch: string | undefined } {
  const document: unknown = JSON.parse(content)
  const patch = twinPatchFrom(document)
  const etag = isObject(document) ? document.etag : undefined
  return { patch, ifMatch: typeof etag === 'string' && etag !== '*' && etag !== '' ? etag : undefined }
}

export function jobFault(message: string): PenstockError {
  return new PenstockError('JOB_INVALID', message)
}

function checkId(id: string, named: unknown): void {
  // A job of this id could not be read: its path is that of the list.
  if (!isIdentityId(id) || id === 'query') throw jobFault(`the id of a job must be ${idRule}, and not query`)
  if (named !== undefined && named !== null && named !== id) throw jobFault('jobId differs from the path')
}

function typeFrom(value: unknown): DeviceJobType {
  const type = deviceJobTypes.find((known) => known === value)
  if (type === undefined) throw jobFault(`type must be ${deviceJobTypes.join(' or ')}`)
  return type
}

function contentFrom(type: DeviceJobType, document: JsonObject): string {
  const field = type === 'scheduleUpdateTwin' ? 'updateTwin' : 'cloudToDeviceMethod'
  const value = document[field]
  if (!isObject(value)) throw jobFault(`a job of type ${type} has an object ${field}`)
  const content = JSON.stringify(value)
  if (type === 'scheduleDeviceMethod') readMethodRequest(Buffer.from(content))
  else {
    const { tags, desired } = readTwinUpdate(content).patch
    if (tags === undefined && desired === undefined)
      throw jobFault('updateTwin must have tags, or properties with desired ones')
  }
  return content
}

function startFrom(value: unknown, nowMs: number): number | undefined {
  if (value === undefined || value === null) return undefined
  const atMs = typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (!(atMs <= nowMs + limits.jobStartAheadMsMax))
    throw jobFault('startTime must be a time of ISO 8601 within a year, or null for at once')
  return Math.max(atMs, 0)
}

function executionFrom(value: unknown): number {
  if (value === undefined || value === null) return executionSecondsDefault
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= limits.jobExecutionSecondsMax)
    return value
  throw jobFault(`maxExecutionTimeInSeconds must be a whole number from 1 to ${limits.jobExecutionSecondsMax}`)
}
