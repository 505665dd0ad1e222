/**
 * Linked hubs over REST: further hubs that devices are sent to. Their keys are told to nobody.
 *
 *   GET        /linkedHubs                  [{hostName, allocationWeight, …}], this hub among them
 *   PUT DELETE /linkedHubs/{host name}      {"connectionString": of a policy that may write its registry and twins, "allocationWeight": 1}
 *
 * Of this hub only the weight can be put; without a row it is 1.
 */
import { parseConnectionString } from '#control/auth/connection-string.ts'
import { argumentFault, isKey } from '#control/identities/identity.ts'
import { isObject, jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { limits } from '#schemas/limits.ts'
import type { LinkedHub } from './allocation.ts'
import type { LinkedHubs } from './provisioning.ts'
import { provisioningFaultAnswer, provisioningFaultShape } from './provisioning-fault.ts'
import { provisioningTold } from './provisioning-told.ts'

const weightMax = 1_000

/** @param ownName of this hub */
export function linkedHubOperations(hubs: LinkedHubs, ownName: string): Operation[] {
  const pattern = '/linkedHubs/:host'
  const faults = { faultAnswer: provisioningFaultAnswer, faultShape: provisioningFaultShape }
  return [
    {
      method: 'GET',
      pattern: '/linkedHubs',
      told: provisioningTold.listHubs,
      right: 'EnrollmentRead',
      ...faults,
      async run() {
        const rows = await hubs.all()
        const own = rows.some(({ hostName }) => hostName === ownName) ? [] : [{ hostName: ownName, weight: 1 }]
        return jsonAnswer(200, [...own, ...rows].map(documentOf))
      },
    },
    {
      method: 'PUT',
      pattern,
      told: provisioningTold.putHub,
      right: 'EnrollmentWrite',
      bodyBytesMax: limits.registryBodyBytesMax,
      ...faults,
      async run(request, body) {
        const hub = hubFrom(jsonFrom(body), hostOf(request), ownName)
        await hubs.put(hub)
        return jsonAnswer(200, documentOf(hub))
      },
    },
    {
      method: 'DELETE',
      pattern,
      told: provisioningTold.deleteHub,
      right: 'EnrollmentWrite',
      ...faults,
      async run(request) {
        await hubs.delete(hostOf(request))
        return { status: 204 }
      },
    },
  ]
}

function documentOf({ hostName, weight }: Pick<LinkedHub, 'hostName' | 'weight'>): object {
  return { hostName, allocationWeight: weight }
}

function hubFrom(document: unknown, hostName: string, ownName: string): LinkedHub {
  const { connectionString, allocationWeight: weight = 1 } = isObject(document) ? document : {}
  if (typeof weight !== 'number' || !Number.isInteger(weight) || weight < 0 || weight > weightMax)
    throw argumentFault(`allocationWeight must be a whole number from 0 (only by name) to ${weightMax}`)
  if (hostName === ownName) return { hostName, weight, policyName: '', key: '' }
  if (typeof connectionString !== 'string') throw argumentFault('connectionString is missing')
  const { hostName: named, sharedAccessKeyName, sharedAccessKey = '' } = parseConnectionString(connectionString)
  if (named.toLowerCase() !== hostName) throw argumentFault('the connection string is of another host than the path')
  if (sharedAccessKeyName === undefined || !isKey(sharedAccessKey))
    throw argumentFault('the connection string must name a policy and its key')
  return { hostName, weight, policyName: sharedAccessKeyName, key: sharedAccessKey }
}

function hostOf(request: HttpRequest): string {
  const name = (request.parameter(0) ?? '').toLowerCase()
  if (!/^[a-z0-9.-]{1,253}(:\d{1,5})?$/.test(name)) throw argumentFault('the path must name a host')
  return name
}
