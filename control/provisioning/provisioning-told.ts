/** What the operations on enrolments, registrations and linked hubs say of themselves. */
import { continuation, continues, ifMatch } from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { aCount, aFlag, anObject, aText, aTime, listOf, named, recordOf } from '#runtime/api/shapes.ts'
import { gives, json, nothing } from '#runtime/api/told.ts'

const ofEither = { ...anObject, properties: { attestation: anObject, etag: aText, provisioningStatus: aText } }
const enrolment = named('Enrollment', ofEither)
const registration = named('DeviceRegistration', { ...anObject, properties: { status: aText, updated: aTime } })
const linkedHub = named('LinkedHub', recordOf({ hostName: aText, allocationWeight: aCount }))
const query = json(recordOf({ query: aText }))
const devices = { devices: 'delete: the devices go from their hubs, too' }

export const provisioningTold = {
  get: {
    summary: 'An enrolment of a device or a group, without its keys',
    answered: { 200: gives('it', enrolment) },
    faults: ['PROVISIONING_ENROLMENT_UNKNOWN'],
  },
  attestation: {
    summary: 'How those of an enrolment prove themselves, with its keys; that they were shown stands in the audit',
    answered: { 200: gives('it', anObject) },
    faults: ['PROVISIONING_ENROLMENT_UNKNOWN'],
  },
  put: {
    summary: 'Makes an enrolment, or replaces it; with If-Match, that of this etag only',
    headers: ifMatch,
    asked: json(enrolment),
    answered: { 200: gives('it, with its keys', enrolment) },
    faults: ['PROVISIONING_ENROLMENT_UNKNOWN', 'PROVISIONING_GROUPS_FULL', 'REGISTRY_ETAG_STALE', 'TWIN_INVALID'],
  },
  delete: {
    summary: 'Ends an enrolment: nobody registers by it any more',
    query: devices,
    headers: ifMatch,
    answered: { 204: nothing('done') },
    faults: ['PROVISIONING_ENROLMENT_UNKNOWN', 'REGISTRY_ETAG_STALE', 'PROVISIONING_UNREACHABLE'],
  },
  query: {
    summary: 'All enrolments, page by page',
    headers: continues,
    asked: query,
    answered: { 200: gives('a page', listOf(enrolment), continuation) },
  },
  bulk: {
    summary: 'Makes, changes or ends up to ten enrolments, each by itself',
    asked: json(recordOf({ mode: aText, enrollments: listOf(enrolment) })),
    answered: { 200: gives('what came of each', recordOf({ isSuccessful: aFlag, errors: listOf(anObject) })) },
  },
  getRegistration: {
    summary: 'Where a device registered, and how far that is',
    answered: { 200: gives('it', registration) },
    faults: ['PROVISIONING_REGISTRATION_UNKNOWN'],
  },
  deleteRegistration: {
    summary: 'Forgets that a device registered; it may register anew',
    query: devices,
    headers: ifMatch,
    answered: { 204: nothing('done') },
    faults: ['PROVISIONING_REGISTRATION_UNKNOWN', 'REGISTRY_ETAG_STALE', 'PROVISIONING_UNREACHABLE'],
  },
  registrationsOfGroup: {
    summary: 'Devices that registered by a group, page by page',
    headers: continues,
    asked: query,
    answered: { 200: gives('a page', listOf(registration), continuation) },
  },
  listHubs: {
    summary: 'Hubs that devices are sent to, this one among them',
    answered: { 200: gives('all of them', listOf(linkedHub)) },
  },
  putHub: {
    summary: 'Links a hub, or gives it another weight',
    asked: json(recordOf({}, { connectionString: aText, allocationWeight: aCount })),
    answered: { 200: gives('it', linkedHub) },
  },
  deleteHub: {
    summary: 'No device is sent to this hub any more; those that are there stay',
    answered: { 204: nothing('done') },
    faults: ['PROVISIONING_HUB_UNKNOWN'],
  },
} as const satisfies Readonly<Record<string, OperationTold>>
