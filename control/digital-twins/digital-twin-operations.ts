/**
 * Digital twins over REST, as the hub has them: twins and methods by the names that models give them. `{d}` is a device, or `device~module`.
 *
 *   GET PATCH /digitaltwins/{d}                                  PATCH is a JSON Patch of desired properties; If-Match: etag or *
 *   POST      /digitaltwins/{d}/commands/{c}                     the direct method c
 *   POST      /digitaltwins/{d}/components/{p}/commands/{c}      the direct method p*c, as the conventions name it
 */
import { randomUUID } from 'node:crypto'
import { argumentFault } from '#control/identities/identity.ts'
import { leftOf, methodBodyBytesMax, methodRequestFrom, readPayload } from '#control/methods/method-request.ts'
import { callFault, type Methods } from '#control/methods/methods.ts'
import { ifMatchOf } from '#control/rest/addressed.ts'
import { jsonFrom } from '#control/rest/json-body.ts'
import type { Operation } from '#control/rest/operation.ts'
import { etagText, twinPart, twinPatchFrom } from '#control/twins/twin-document.ts'
import type { IdentityTwin, Twins } from '#control/twins/twins.ts'
import { type HttpAnswer, jsonAnswer, jsonTextAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isWithinDepth } from '#runtime/json-depth.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { checkIdentityId, type IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { digitalTwinDocument, type TwinSections } from './digital-twin-document.ts'
import { digitalTwinTold } from './digital-twin-told.ts'
import { desiredPatchFrom } from './json-patch.ts'

/** What lies around values in a patch: the list, the operation, and the component. */
const patchDepthMax = limits.twinDepthMax + 4

const twinPattern = '/digitaltwins/:device'

export function digitalTwinOperations(twins: Pick<Twins, 'get' | 'update'>, methods: Methods): Operation[] {
  return [
    {
      method: 'GET',
      pattern: twinPattern,
      told: digitalTwinTold.read,
      right: ['ServiceConnect', 'RegistryRead'],
      run: async (request) => {
        const { identity, twin } = await twins.get(idOf(request))
        const document = digitalTwinDocument(textOf(identity), identity.modelId, sectionsOf({ identity, twin }))
        return jsonAnswer(200, document, { ETag: `"${etagText(twin.etag)}"` })
      },
    },
    {
      method: 'PATCH',
      pattern: twinPattern,
      told: digitalTwinTold.update,
      right: 'ServiceConnect',
      bodyBytesMax: limits.twinPatchBytesMax,
      run: async (request, body) => {
        const etag = await patched(twins, idOf(request), body, ifMatchOf(request)?.etag)
        return { status: 202, headers: { ETag: `"${etag}"`, Location: request.path } }
      },
    },
    commandOperation(methods, `${twinPattern}/commands/:command`, (request) => named(request, 1)),
    commandOperation(
      methods,
      `${twinPattern}/components/:component/commands/:command`,
      (request) => `${named(request, 1)}*${named(request, 2)}`,
    ),
  ]
}

function commandOperation(methods: Methods, pattern: string, methodOf: (request: HttpRequest) => string): Operation {
  return {
    method: 'POST',
    pattern,
    told: digitalTwinTold.command,
    right: 'ServiceConnect',
    audited: 'used',
    bodyBytesMax: methodBodyBytesMax,
    faultsNumbered: true,
    run: async (request, body) => {
      const call = methodRequestFrom({
        methodName: methodOf(request),
        payload: body.length === 0 ? null : readPayload(body),
        connectTimeoutInSeconds: numberIn(request, 'connectTimeoutInSeconds'),
        responseTimeoutInSeconds: numberIn(request, 'responseTimeoutInSeconds'),
      })
      return commandAnswer(await methods.call(idOf(request), call, leftOf(request, call)))
    },
  }
}

function commandAnswer(outcome: Awaited<ReturnType<Methods['call']>>): HttpAnswer {
  if (outcome.kind !== 'answered') throw callFault(outcome.kind)
  const { status, payload } = outcome
  // As the device wrote it: its numbers may be finer than ours.
  return jsonTextAnswer(200, payload === '' ? 'null' : payload, {
    'x-ms-command-statuscode': String(status),
    'x-ms-request-id': randomUUID(),
  })
}

/**
 * A condition is judged before what is sent (RFC 9110, section 13.2.1): who read the twin too long ago learns that first.
 * @param ifMatch `undefined`: whatever the twin is by now
 * @returns the new etag @throws TWIN_INVALID, REGISTRY_ETAG_STALE
 */
async function patched(
  twins: Pick<Twins, 'get' | 'update'>,
  id: IdentityId,
  body: Uint8Array,
  ifMatch: string | undefined,
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const before = await twins.get(id)
    if (ifMatch !== undefined && ifMatch !== etagText(before.twin.etag))
      throw new PenstockError('REGISTRY_ETAG_STALE', 'the twin was changed since it was read: read it again')
    const desired = desiredPatchFrom(documentFrom(body), sectionsOf(before))
    const patch = twinPatchFrom({ properties: { desired } })
    try {
      const { twin } = await twins.update(id, patch, ifMatch ?? etagText(before.twin.etag))
      return etagText(twin.etag)
    } catch (error) {
      const isOvertaken = ifMatch === undefined && isPenstockError(error, 'REGISTRY_ETAG_STALE')
      if (!isOvertaken || attempt === limits.digitalTwinAttemptsMax) throw error
    }
  }
}

/** @throws REGISTRY_ARGUMENT_INVALID, REGISTRY_BODY_MALFORMED */
function documentFrom(body: Uint8Array): unknown {
  if (!isWithinDepth(body, patchDepthMax)) throw argumentFault(`a patch nests at most ${patchDepthMax} levels deep`)
  return jsonFrom(body)
}

function sectionsOf({ identity, twin }: IdentityTwin): TwinSections {
  return twinPart(twin, identity.createdAtMs).properties
}

/** No id holds a `~`. @throws REGISTRY_ID_INVALID */
function idOf(request: HttpRequest): IdentityId {
  const [deviceId = '', ...modules] = named(request, 0).split('~')
  const id = { deviceId, moduleId: modules.length === 0 ? undefined : modules.join('~') }
  checkIdentityId(id)
  return id
}

function textOf({ deviceId, moduleId }: IdentityId): string {
  return moduleId === undefined ? deviceId : `${deviceId}~${moduleId}`
}

function named(request: HttpRequest, index: number): string {
  const name = request.parameter(index)
  if (name === undefined) throw argumentFault('the path is not percent-encoded UTF-8')
  return name
}

/** NaN, which is refused, where it is none. */
function numberIn(request: HttpRequest, key: string): number | undefined {
  const text = request.query(key)
  return text === undefined ? undefined : Number(text === '' ? Number.NaN : text)
}
