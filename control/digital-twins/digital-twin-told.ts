/** What the operations on digital twins say of themselves. */
import { callFaults } from '#control/methods/methods.ts'
import { etag, ifMatch } from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { anObject, anything, aText, choiceOf, listOf, named, recordOf } from '#runtime/api/shapes.ts'
import { gives, json } from '#runtime/api/told.ts'

const digitalTwinShape = named('DigitalTwin', {
  ...recordOf({ $dtId: aText, $metadata: anObject }),
  additionalProperties: true,
})

const patchShape = named(
  'JsonPatch',
  listOf(recordOf({ op: choiceOf(['add', 'replace', 'remove']), path: aText }, { value: anything })),
)

const unknown = ['REGISTRY_DEVICE_UNKNOWN', 'REGISTRY_MODULE_UNKNOWN'] as const

export const digitalTwinTold = {
  read: {
    summary:
      'The twin of a device, or of a module (device~module), as its model has it: properties, and components with metadata of their own',
    answered: { 200: gives('the digital twin as it is now', digitalTwinShape, etag) },
    faults: unknown,
  },
  update: {
    summary: 'Adds, replaces and removes desired values of components and properties',
    headers: ifMatch,
    asked: json(patchShape),
    answered: {
      202: {
        description: 'the device is told',
        headers: { ...etag, Location: 'the path of the digital twin' },
      },
    },
    faults: [...unknown, 'TWIN_INVALID', 'TWIN_CONFLICT', 'REGISTRY_ETAG_STALE'],
  },
  command: {
    summary: 'Calls a command of a device or of a component of it, at most once, and waits for its answer',
    query: {
      connectTimeoutInSeconds: 'how long a device that is away is waited for',
      responseTimeoutInSeconds: 'how long its answer is waited for',
    },
    asked: json(anything),
    answered: {
      200: gives('what the device answered', anything, {
        'x-ms-command-statuscode': 'the status that the device gave',
        'x-ms-request-id': 'of this call',
      }),
    },
    faults: [...unknown, ...callFaults],
  },
} as const satisfies Readonly<Record<string, OperationTold>>
