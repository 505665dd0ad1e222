/** Enrolments as the hub's REST API writes and reads them, and as they are kept. */
import { argumentFault } from '#control/identities/identity.ts'
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { initialTwinFrom } from '#control/twins/twin-document.ts'
import { attestationDocument, attestationFrom, storedAttestation } from './attestation-document.ts'
import {
  type Allocation,
  allocationPolicies,
  checkEnrolment,
  type Enrolment,
  type EnrolmentContent,
  type EnrolmentKind,
  type Reprovisioning,
} from './enrolment.ts'

const idField = { individual: 'registrationId', group: 'enrollmentGroupId' } as const

/**
 * Reads what a caller writes; what it only read before (times, etag, registration state) is left aside.
 * @param id of the path; `undefined`: the document says it
 * @param before what is kept so far: keys and certificates that the document leaves out stay
 * @param isStored it is what `storedText` made
 * @throws REGISTRY_ARGUMENT_INVALID, TWIN_INVALID
 */
export function enrolmentFrom(
  kind: EnrolmentKind,
  document: unknown,
  id: string | undefined,
  before: Enrolment | undefined,
  isStored = false,
): EnrolmentContent {
  if (!isObject(document)) throw argumentFault('an enrolment must be a JSON object')
  const named = textIn(document, idField[kind])
  if (named === undefined && id === undefined) throw argumentFault(`${idField[kind]} is missing`)
  if (named !== undefined && id !== undefined && named.toLowerCase() !== id.toLowerCase())
    throw argumentFault(`${idField[kind]} differs from the path`)
  const content: EnrolmentContent = {
    kind,
    id: named ?? id ?? '',
    deviceId: textIn(document, 'deviceId'),
    attestation: attestationFrom(document.attestation, before?.attestation, isStored),
    isEnabled: isEnabledIn(document),
    allocation: allocationFrom(document),
    reprovisioning: reprovisioningFrom(document.reprovisionPolicy),
    initialTwin: isObject(document.initialTwin) ? initialTwinFrom(document.initialTwin) : undefined,
    iotEdge: isObject(document.capabilities) && document.capabilities.iotEdge === true,
    information: isObject(document.optionalDeviceInformation) ? document.optionalDeviceInformation : undefined,
  }
  checkEnrolment(content)
  return content
}

/** The id that a document names, of whatever kind; for telling whose fault it was. */
export function idIn(document: JsonObject): string {
  return textIn(document, 'registrationId') ?? ''
}

/** @param withKeys false where keys are not told */
export function enrolmentDocument(enrolment: Enrolment, withKeys: boolean): JsonObject {
  return {
    ...contentDocument(enrolment, attestationDocument(enrolment.attestation, withKeys)),
    etag: `"${enrolment.etag}"`,
    createdDateTimeUtc: new Date(enrolment.createdAtMs).toISOString(),
    lastUpdatedDateTimeUtc: new Date(enrolment.updatedAtMs).toISOString(),
  }
}

/** As `enrolmentFrom` reads it again, whole. */
export function storedText(content: EnrolmentContent): string {
  return JSON.stringify(contentDocument(content, storedAttestation(content.attestation)))
}

function contentDocument(content: EnrolmentContent, attestation: unknown): JsonObject {
  const { kind, id, deviceId, allocation, reprovisioning, initialTwin, information } = content
  const { tags, desired } = initialTwin ?? {}
  return {
    [idField[kind]]: id,
    ...(deviceId === undefined ? {} : { deviceId }),
    attestation,
    capabilities: { iotEdge: content.iotEdge },
    ...(allocation.hubs[0] === undefined ? {} : { iotHubs: allocation.hubs, iotHubHostName: allocation.hubs[0] }),
    ...(initialTwin === undefined ? {} : { initialTwin: { tags: tags ?? {}, properties: { desired: desired ?? {} } } }),
    provisioningStatus: content.isEnabled ? 'enabled' : 'disabled',
    reprovisionPolicy: reprovisioning,
    allocationPolicy: allocation.policy,
    ...(allocation.webhook === undefined ? {} : { customAllocationDefinition: webhookDocument(allocation.webhook) }),
    ...(information === undefined ? {} : { optionalDeviceInformation: information }),
  }
}

function webhookDocument({ url, apiVersion }: NonNullable<Allocation['webhook']>): JsonObject {
  return { webhookUrl: url, apiVersion }
}

function isEnabledIn({ provisioningStatus }: JsonObject): boolean {
  if (provisioningStatus === undefined || provisioningStatus === null) return true
  if (provisioningStatus === 'enabled' || provisioningStatus === 'disabled') return provisioningStatus === 'enabled'
  throw argumentFault('provisioningStatus must be enabled or disabled')
}

/** A hub that is named by itself is meant by itself: older clients know no other allocation. */
function allocationFrom(document: JsonObject): Allocation {
  const { allocationPolicy, iotHubs, customAllocationDefinition: custom } = document
  const single = textIn(document, 'iotHubHostName')
  const usual = single === undefined ? 'hashed' : 'static'
  const policy = allocationPolicies.find((name) => name === (allocationPolicy ?? usual))
  if (policy === undefined) throw argumentFault(`allocationPolicy must be one of ${allocationPolicies.join(', ')}`)
  const named = Array.isArray(iotHubs) && iotHubs.length > 0 ? iotHubs : single === undefined ? [] : [single]
  const hubs = named.map((name: unknown) => {
    if (typeof name !== 'string' || !/^[A-Za-z0-9.:[\]-]{1,255}$/.test(name))
      throw argumentFault('iotHubs must be host names')
    return name.toLowerCase()
  })
  if (policy !== 'custom') return { policy, hubs, webhook: undefined }
  const url = isObject(custom) ? textIn(custom, 'webhookUrl') : undefined
  if (!isObject(custom) || url === undefined) throw argumentFault('customAllocationDefinition needs a webhookUrl')
  return { policy, hubs, webhook: { url, apiVersion: textIn(custom, 'apiVersion') ?? '2021-10-01' } }
}

function reprovisioningFrom(value: unknown): Reprovisioning {
  const policy = isObject(value) ? value : {}
  return {
    updateHubAssignment: policy.updateHubAssignment !== false,
    migrateDeviceData: policy.migrateDeviceData !== false,
  }
}

function textIn(document: JsonObject, field: string): string | undefined {
  const value = document[field]
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw argumentFault(`${field} must be a text`)
  return value
}
