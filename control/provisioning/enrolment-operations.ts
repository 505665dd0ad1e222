/**
 * Enrolments and registrations over REST, as the hub's provisioning service has it.
 *
 *   GET PUT DELETE /enrollments/{registration}, /enrollmentGroups/{group}       If-Match: etag or *
 *   POST           /enrollments/{registration}/attestationmechanism, /enrollmentGroups/{group}/attestationmechanism    with keys
 *   POST           /enrollments                                                {"mode", "enrollments": [≤ 10]}: each by itself
 *   POST           /enrollments/query, /enrollmentGroups/query, /registrations/{group}/query    {"query":"SELECT * FROM enrollments"}
 *   GET DELETE     /registrations/{registration}
 *
 * A DELETE with `?devices=delete` takes the devices from their hubs too; the hub's own service leaves them where they are. One that was
 * interrupted can be repeated, until no device is left.
 *
 * Keys are told in the answer to a PUT and by attestationmechanism, and nowhere else. `enrollmentGroups` comes in two spellings.
 */
import type { IfMatch } from '#control/identities/identities.ts'
import { argumentFault } from '#control/identities/identity.ts'
import { ifMatchOf } from '#control/rest/addressed.ts'
import { isObject, type JsonObject, jsonFrom } from '#control/rest/json-body.ts'
import { type Operation, withWarning } from '#control/rest/operation.ts'
import { pageSizeOf } from '#control/rest/page-size.ts'
import { type HttpAnswer, jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { attestationDocument } from './attestation-document.ts'
import { bulkAnswer } from './bulk-enrolments.ts'
import { type DevicesOf, deprovision, deprovisionGroup } from './deprovision.ts'
import { type EnrolmentKind, isRegistrationId, registrationIdRule } from './enrolment.ts'
import { enrolmentDocument, enrolmentFrom } from './enrolment-document.ts'
import type { Enrolments, Registrations } from './provisioning.ts'
import { provisioningFaultAnswer, provisioningFaultShape } from './provisioning-fault.ts'
import { provisioningTold } from './provisioning-told.ts'
import { registrationDocument } from './registration.ts'
import { enrolmentUnknown } from './sql-enrolments.ts'
import { registrationUnknown } from './sql-registrations.ts'

const pageSizeDefault = 100
const bodyBytesMax = limits.registryBodyBytesMax
const done: HttpAnswer = { status: 204 }

/** What they serve. */
export interface ProvisioningServices {
  readonly enrolments: Enrolments
  readonly registrations: Registrations
  readonly devicesOf: DevicesOf
}

type PartOfOperation = Omit<Operation, 'faultAnswer' | 'faultShape'>

export function provisioningOperations(services: ProvisioningServices): Operation[] {
  const { enrolments } = services
  const operations: PartOfOperation[] = [
    ...collectionOperations(services, 'individual', '/enrollments'),
    ...collectionOperations(services, 'group', '/enrollmentGroups'),
    ...collectionOperations(services, 'group', '/enrollmentgroups'),
    ...['/enrollments', '/enrollments/'].map(
      (pattern): PartOfOperation => ({
        method: 'POST',
        pattern,
        told: provisioningTold.bulk,
        right: 'EnrollmentWrite',
        bodyBytesMax,
        run: (_request, body) => bulkAnswer(enrolments, jsonFrom(body)),
      }),
    ),
    ...registrationOperations(services),
  ]
  return operations.map((operation) => ({
    ...operation,
    faultAnswer: provisioningFaultAnswer,
    faultShape: provisioningFaultShape,
  }))
}

function collectionOperations(
  services: ProvisioningServices,
  kind: EnrolmentKind,
  collection: string,
): PartOfOperation[] {
  const { enrolments } = services
  const pattern = `${collection}/:id`
  const found = async (request: HttpRequest) => {
    const id = idOf(request)
    const enrolment = await enrolments.get(kind, id)
    if (enrolment === undefined) throw enrolmentUnknown(id)
    return enrolment
  }
  return [
    {
      method: 'GET',
      pattern,
      told: provisioningTold.get,
      right: 'EnrollmentRead',
      run: async (request) => jsonAnswer(200, enrolmentDocument(await found(request), false)),
    },
    {
      method: 'POST',
      pattern: `${pattern}/attestationmechanism`,
      told: provisioningTold.attestation,
      audited: 'revealed',
      right: 'EnrollmentWrite',
      bodyBytesMax,
      run: async (request) => jsonAnswer(200, attestationDocument((await found(request)).attestation, true)),
    },
    {
      method: 'PUT',
      pattern,
      told: provisioningTold.put,
      right: 'EnrollmentWrite',
      bodyBytesMax,
      async run(request, body) {
        const id = idOf(request)
        const document = jsonFrom(body)
        const ifMatch = ifMatchOf(request)?.etag
        const put = await enrolments.put(kind, id, ifMatch, (before) => enrolmentFrom(kind, document, id, before))
        return jsonAnswer(200, enrolmentDocument(put, true))
      },
    },
    {
      method: 'DELETE',
      pattern,
      told: provisioningTold.delete,
      right: 'EnrollmentWrite',
      async run(request) {
        const id = idOf(request)
        const ifMatch = ifMatchOf(request)?.etag
        if (takesDevices(request)) return deleteWithDevices[kind](services, id, ifMatch)
        await enrolments.delete(kind, id, ifMatch)
        return done
      },
    },
    enrolmentQuery(enrolments, kind, collection),
  ]
}

function enrolmentQuery(enrolments: Enrolments, kind: EnrolmentKind, collection: string): PartOfOperation {
  return {
    method: 'POST',
    pattern: `${collection}/query`,
    told: provisioningTold.query,
    audited: 'read',
    right: 'EnrollmentRead',
    bodyBytesMax,
    async run(request, body) {
      checkQuery(jsonFrom(body))
      const items = (after: string, countMax: number) => enrolments.after(kind, after, countMax)
      const itemType = kind === 'group' ? 'enrollmentGroup' : 'enrollment'
      return pageAnswer(
        request,
        items,
        ({ id }) => id,
        (item) => enrolmentDocument(item, false),
        itemType,
      )
    },
  }
}

function registrationOperations({ registrations, devicesOf }: ProvisioningServices): PartOfOperation[] {
  return [
    {
      method: 'GET',
      pattern: '/registrations/:id',
      told: provisioningTold.getRegistration,
      right: 'RegistrationStatusRead',
      async run(request) {
        const id = idOf(request)
        const registration = await registrations.get(id)
        if (registration === undefined) throw registrationUnknown(id)
        return jsonAnswer(200, registrationDocument(registration))
      },
    },
    {
      method: 'DELETE',
      pattern: '/registrations/:id',
      told: provisioningTold.deleteRegistration,
      right: 'RegistrationStatusWrite',
      async run(request) {
        const id = idOf(request)
        const registration = takesDevices(request) ? await registrations.get(id) : undefined
        if (registration === undefined) await registrations.delete(id, ifMatchOf(request)?.etag)
        else await deprovision(registrations, devicesOf, registration)
        return done
      },
    },
    {
      method: 'POST',
      pattern: '/registrations/:id/query',
      told: provisioningTold.registrationsOfGroup,
      audited: 'read',
      right: 'RegistrationStatusRead',
      bodyBytesMax,
      async run(request, body) {
        const groupId = idOf(request)
        if (body.length > 0) checkQuery(jsonFrom(body))
        const items = (after: string, countMax: number) => registrations.ofGroup(groupId, after, countMax)
        return pageAnswer(
          request,
          items,
          ({ registrationId }) => registrationId,
          registrationDocument,
          'deviceRegistration',
        )
      },
    },
  ]
}

function takesDevices(request: HttpRequest): boolean {
  return request.query('devices') === 'delete'
}

const deleteWithDevices = { individual: deleteWithDevice, group: deleteGroupWithDevices }

/** @throws PROVISIONING_ENROLMENT_UNKNOWN where there is no device of it either */
async function deleteWithDevice(
  { enrolments, registrations, devicesOf }: ProvisioningServices,
  id: string,
  ifMatch: IfMatch,
): Promise<HttpAnswer> {
  const unknown = await deletedBefore(enrolments, 'individual', id, ifMatch)
  const registration = await registrations.get(id)
  if (unknown !== undefined && registration?.groupId !== undefined) throw unknown
  if (registration !== undefined) await deprovision(registrations, devicesOf, registration)
  else if (unknown !== undefined) throw unknown
  return done
}

/** @returns the fault where there was no such enrolment: an earlier call that was interrupted may have deleted it */
async function deletedBefore(
  enrolments: Enrolments,
  kind: EnrolmentKind,
  id: string,
  ifMatch: IfMatch,
): Promise<PenstockError | undefined> {
  try {
    await enrolments.delete(kind, id, ifMatch)
    return undefined
  } catch (error) {
    if (isPenstockError(error, 'PROVISIONING_ENROLMENT_UNKNOWN')) return error
    throw error
  }
}

/** The group first, so that no device joins it meanwhile. @throws PROVISIONING_ENROLMENT_UNKNOWN where there is no device of it either */
async function deleteGroupWithDevices(
  { enrolments, registrations, devicesOf }: ProvisioningServices,
  groupId: string,
  ifMatch: IfMatch,
): Promise<HttpAnswer> {
  const unknown = await deletedBefore(enrolments, 'group', groupId, ifMatch)
  const count = await deprovisionGroup(registrations, devicesOf, groupId)
  if (unknown !== undefined && count === 0) throw unknown
  return withWarning(done, `devices taken from their hubs: ${count}`)
}

/** Everything of a collection is all that can be asked for. @throws REGISTRY_QUERY_INVALID */
function checkQuery(document: unknown): void {
  const text = isObject(document) ? document.query : undefined
  if (typeof text === 'string' && /^\s*(\*|select\s+\*(\s+from\s+\w+)?)\s*;?\s*$/i.test(text)) return
  throw argumentFault('the body must be {"query":"SELECT * FROM enrollments"}')
}

/** A continuation is the id that the page before ended with. */
async function pageAnswer<Item>(
  request: HttpRequest,
  itemsAfter: (after: string, countMax: number) => Promise<Item[]>,
  idOfItem: (item: Item) => string,
  documentOf: (item: Item) => JsonObject,
  itemType: string,
): Promise<HttpAnswer> {
  const countMax = pageSizeOf(request.header('x-ms-max-item-count'), pageSizeDefault)
  const continuation = request.header('x-ms-continuation')
  const after = continuation === '' ? '' : Buffer.from(continuation, 'base64url').toString('utf8')
  if (after !== '' && !isRegistrationId(after)) throw argumentFault('the continuation cannot be read')
  const items = await itemsAfter(after, countMax + 1)
  const shown = items.slice(0, countMax)
  const last = shown.at(-1)
  const next =
    last !== undefined && items.length > countMax
      ? { 'x-ms-continuation': Buffer.from(idOfItem(last)).toString('base64url') }
      : {}
  return jsonAnswer(200, shown.map(documentOf), { 'x-ms-item-type': itemType, ...next })
}

function idOf(request: HttpRequest): string {
  const id = request.parameter(0)
  if (id === undefined || !isRegistrationId(id)) throw argumentFault(`the path must name ${registrationIdRule}`)
  return id
}
