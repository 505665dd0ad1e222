/**
 * Shared access policies over REST, for the owner only: a policy's key gives all of its rights.
 *
 *   GET /policies                [{name, rights}]
 *   GET /policies/{name}         {name, rights, primaryKey, secondaryKey}
 *   POST /policies/{name}/rekey  {"key": "primary" | "secondary"}; what the old key let in ends
 */

import { argumentFault } from '#control/identities/identity.ts'
import { nameOf } from '#control/rest/addressed.ts'
import { isObject, jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { aText, choiceOf, listOf, named, recordOf } from '#runtime/api/shapes.ts'
import { gives, json } from '#runtime/api/told.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { isKeyName, type KeyName, type Policy, type TrustSource } from './trust.ts'

const policyShape = named(
  'Policy',
  recordOf({ name: aText, rights: listOf(aText), primaryKey: aText, secondaryKey: aText }),
)

/** Gives a policy a new key. @throws REGISTRY_POLICY_UNKNOWN, REGISTRY_ARGUMENT_INVALID */
export type RekeyPolicy = (name: string, which: KeyName) => Promise<Policy>

export function policyOperations(source: TrustSource, rekey: RekeyPolicy): Operation[] {
  return [
    {
      method: 'GET',
      pattern: '/policies',
      told: {
        summary: 'All policies, without their keys',
        answered: { 200: gives('policies', listOf(recordOf({ name: aText, rights: listOf(aText) }))) },
      },
      right: 'RegistryRead',
      ownerOnly: true,
      run: async () =>
        jsonAnswer(
          200,
          (await source.trust()).policies.map(({ name, rights }) => ({ name, rights })),
        ),
    },
    {
      method: 'GET',
      pattern: '/policies/:name',
      told: {
        summary: 'A policy with its keys; that they were shown stands in the audit',
        answered: { 200: gives('it, with its keys', policyShape) },
        faults: ['REGISTRY_POLICY_UNKNOWN'],
      },
      right: 'RegistryRead',
      ownerOnly: true,
      audited: 'revealed',
      async run(request) {
        const name = nameOf(request)
        const policy = (await source.trust()).policies.find((candidate) => candidate.name === name)
        if (!policy) throw new PenstockError('REGISTRY_POLICY_UNKNOWN', `no policy ${name}`)
        return jsonAnswer(200, policy)
      },
    },
    {
      method: 'POST',
      pattern: '/policies/:name/rekey',
      told: {
        summary: 'Gives a policy another key; what the old one let in ends',
        asked: json(recordOf({ key: choiceOf(['primary', 'secondary']) })),
        answered: { 200: gives('it, with its keys', policyShape) },
        faults: ['REGISTRY_POLICY_UNKNOWN'],
      },
      right: 'RegistryWrite',
      ownerOnly: true,
      bodyBytesMax: limits.registryBodyBytesMax,
      async run(request, body) {
        const document = jsonFrom(body)
        const which = isObject(document) ? document.key : undefined
        if (!isKeyName(which)) throw argumentFault('the body must be {"key":"primary"} or {"key":"secondary"}')
        return jsonAnswer(200, await rekey(nameOf(request), which))
      },
    },
  ]
}
