/** What the operations on identities say of themselves. */
import {
  continuation,
  continues,
  deviceShape,
  etag,
  identityShape,
  ifMatch,
  moduleShape,
  pageSize,
  wantedIdentityShape,
} from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { aCount, aFlag, anObject, anything, aText, listOf, named, orNull, recordOf } from '#runtime/api/shapes.ts'
import { gives, json, nothing } from '#runtime/api/told.ts'

const bulkAnswer = named(
  'BulkAnswer',
  recordOf({
    isSuccessful: aFlag,
    errors: listOf(
      recordOf({ deviceId: orNull(aText), errorCode: aCount, errorStatus: aText }, { moduleId: orNull(aText) }),
    ),
    warnings: listOf(anything),
  }),
)

export const identityTold = {
  deviceStatistics: {
    summary: 'How many devices there are',
    answered: {
      200: gives(
        'counts',
        recordOf({ totalDeviceCount: aCount, enabledDeviceCount: aCount, disabledDeviceCount: aCount }),
      ),
    },
  },
  serviceStatistics: {
    summary: 'How many devices are connected',
    answered: { 200: gives('a count', recordOf({ connectedDeviceCount: aCount })) },
  },
  modules: {
    summary: 'All modules of a device',
    answered: { 200: gives('modules with their keys', listOf(moduleShape)) },
    faults: ['REGISTRY_DEVICE_UNKNOWN'],
  },
  list: {
    summary: 'Devices in the order of their ids, page by page',
    query: pageSize,
    headers: continues,
    answered: { 200: gives('devices with their keys', listOf(deviceShape), continuation) },
  },
  bulk: {
    summary: 'Creates, changes or deletes many identities or twins, in their order',
    asked: json(listOf(anObject)),
    answered: { 200: gives('all was done', bulkAnswer), 400: gives('some of it was not done, or nothing', anything) },
  },
  get: {
    summary: 'A device or module',
    answered: { 200: gives('it, with its keys', identityShape, etag) },
    faults: ['REGISTRY_DEVICE_UNKNOWN', 'REGISTRY_MODULE_UNKNOWN'],
  },
  put: {
    summary: 'Creates a device or module; with If-Match, replaces it',
    headers: ifMatch,
    asked: json(wantedIdentityShape),
    answered: { 200: gives('as it is now', identityShape, etag) },
    faults: [
      'REGISTRY_DEVICE_UNKNOWN',
      'REGISTRY_MODULE_UNKNOWN',
      'REGISTRY_DEVICE_EXISTS',
      'REGISTRY_MODULE_EXISTS',
      'REGISTRY_MODULES_FULL',
      'REGISTRY_ETAG_STALE',
    ],
  },
  remove: {
    summary: 'Deletes a device with its modules, or a module; its connections end',
    headers: ifMatch,
    answered: { 204: nothing('it is gone') },
    faults: ['REGISTRY_DEVICE_UNKNOWN', 'REGISTRY_MODULE_UNKNOWN', 'REGISTRY_ETAG_STALE'],
  },
} as const satisfies Readonly<Record<string, OperationTold>>
