/**
 * Quotas of single devices over REST; edges learn of a change at once. What a document does not name is as the settings say, 0 is any.
 *
 *   GET /api/quotas                       [{deviceId, …}]
 *   GET PUT DELETE /api/quotas/{device}   {"messagesPerSecond":5000,"bytesPerSecond":0,"connectionsPerMinute":2}
 */

import { argumentFault } from '#control/identities/identity.ts'
import { isObject, jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { aCount, aText, listOf, named, recordOf } from '#runtime/api/shapes.ts'
import { gives, json, nothing } from '#runtime/api/told.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { limits } from '#schemas/limits.ts'
import { quotaUnknown } from './quota-rows.ts'
import type { QuotaOverride, QuotaStore } from './quotas.ts'

/** Largest values, as those of the settings. */
const quotaMax = { messagesPerSecond: 1e9, bytesPerSecond: 1e12, connectionsPerMinute: 1e6 } as const

type QuotaField = keyof typeof quotaMax

const quotaFields = Object.fromEntries(Object.keys(quotaMax).map((field) => [field, aCount]))
const quotaShape = named('Quota', recordOf({ deviceId: aText }, quotaFields))
const faults = ['REGISTRY_QUOTA_UNKNOWN'] as const

export function quotaOperations(store: QuotaStore): Operation[] {
  const pattern = '/api/quotas/:device'
  return [
    {
      method: 'GET',
      pattern: '/api/quotas',
      told: { summary: 'All quotas of single devices', answered: { 200: gives('quotas', listOf(quotaShape)) } },
      right: 'RegistryRead',
      run: async () => jsonAnswer(200, await store.quotas()),
    },
    {
      method: 'GET',
      pattern,
      told: { summary: 'The quota of a device', answered: { 200: gives('it', quotaShape) }, faults },
      right: 'RegistryRead',
      async run(request) {
        const deviceId = deviceIdOf(request)
        const quota = (await store.quotas()).find((candidate) => candidate.deviceId === deviceId)
        if (!quota) throw quotaUnknown(deviceId)
        return jsonAnswer(200, quota)
      },
    },
    {
      method: 'PUT',
      pattern,
      told: {
        summary: 'Gives a device a quota of its own; what is left out is as the settings say, 0 is any',
        asked: json(recordOf({}, quotaFields)),
        answered: { 200: gives('as it is now', quotaShape) },
        faults: ['REGISTRY_DEVICE_UNKNOWN'],
      },
      right: 'RegistryWrite',
      bodyBytesMax: limits.registryBodyBytesMax,
      async run(request, body) {
        const quota = quotaFrom(jsonFrom(body), deviceIdOf(request))
        await store.putQuota(quota)
        return jsonAnswer(200, quota)
      },
    },
    {
      method: 'DELETE',
      pattern,
      told: { summary: 'The device has the usual quota again', answered: { 204: nothing('done') }, faults },
      right: 'RegistryWrite',
      async run(request) {
        await store.deleteQuota(deviceIdOf(request))
        return { status: 204 }
      },
    },
  ]
}

/** An unknown name would be a limit without effect, so it is refused. @throws REGISTRY_ARGUMENT_INVALID */
function quotaFrom(document: unknown, deviceId: string): QuotaOverride {
  const fields = Object.keys(quotaMax).join(', ')
  if (!isObject(document)) throw argumentFault(`the body must be a JSON object of ${fields}`)
  const given = Object.keys(document).filter((name) => name !== 'deviceId')
  if (given.length === 0 || !given.every((name) => Object.hasOwn(quotaMax, name)))
    throw argumentFault(`a quota is made of ${fields}`)
  if (document.deviceId !== undefined && document.deviceId !== deviceId)
    throw argumentFault('deviceId differs from the path')
  const numberOf = (field: QuotaField): number | undefined => {
    const value = document[field]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= quotaMax[field]) return value
    throw argumentFault(`${field} must be a whole number from 0 (any) to ${quotaMax[field]}`)
  }
  return {
    deviceId,
    messagesPerSecond: numberOf('messagesPerSecond'),
    bytesPerSecond: numberOf('bytesPerSecond'),
    connectionsPerMinute: numberOf('connectionsPerMinute'),
  }
}

function deviceIdOf(request: HttpRequest): string {
  const deviceId = request.parameter(0)
  if (deviceId === undefined) throw argumentFault('the path is not percent-encoded UTF-8')
  return deviceId
}
