/**
 * Twins over REST, as the hub has it.
 *
 *   GET PATCH PUT /twins/{d}, /twins/{d}/modules/{m}     If-Match: etag or *; PATCH merges sections, PUT replaces those that it names
 */
import type { Identity } from '#control/identities/identity.ts'
import { identityIdOf, ifMatchOf } from '#control/rest/addressed.ts'
import { jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import { limits } from '#schemas/limits.ts'
import { twinFault } from './patch-json.ts'
import { faultOfJson } from './scan-json.ts'
import { type TwinPart, twinPart, twinPatchFrom } from './twin-document.ts'
import { twinTold } from './twin-told.ts'
import type { IdentityTwin, TwinPatch, Twins } from './twins.ts'

/** What a twin is to its readers: its identity, with what is kept beside it. */
export type TwinDocumentOf = (identity: Identity, part: TwinPart) => unknown

/** A whole document may be sent back, with what is left aside: metadata of sections is deeper and larger than they are. */
const bodyBounds = {
  bytesMax: limits.registryBodyBytesMax,
  depthMax: limits.twinDepthMax + 8,
  entriesMax: 16 * limits.twinEntriesMax,
}

export function twinOperations(twins: Twins, documentOf: TwinDocumentOf): Operation[] {
  const answer = ({ identity, twin }: IdentityTwin): HttpAnswer => {
    const part = twinPart(twin, identity.createdAtMs)
    return jsonAnswer(200, documentOf(identity, part), { ETag: `"${part.etag}"` })
  }
  return ['/twins/:device', '/twins/:device/modules/:module'].flatMap((pattern): Operation[] => [
    {
      method: 'GET',
      pattern,
      told: twinTold.GET,
      right: ['ServiceConnect', 'RegistryRead'],
      run: async (request) => answer(await twins.get(identityIdOf(request))),
    },
    ...(['PATCH', 'PUT'] as const).map(
      (method): Operation => ({
        method,
        pattern,
        told: twinTold[method],
        right: 'ServiceConnect',
        bodyBytesMax: limits.registryBodyBytesMax,
        run: async (request, body) => {
          const id = identityIdOf(request)
          const etag = ifMatchOf(request)?.etag
          const write = method === 'PATCH' ? twins.update : twins.replace
          return answer(await write.call(twins, id, patchOf(body), etag))
        },
      }),
    ),
  ])
}

function patchOf(body: Uint8Array): TwinPatch {
  const fault = faultOfJson(body, bodyBounds)
  if (fault !== undefined) throw twinFault(`the body ${fault}`)
  return twinPatchFrom(jsonFrom(body))
}
