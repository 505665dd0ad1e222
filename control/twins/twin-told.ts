/** What the operations on twins say of themselves. */
import { etag, ifMatch, twinPatchShape, twinShape } from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { gives, json } from '#runtime/api/told.ts'

const answered = { 200: gives('the twin as it is now', twinShape, etag) }
const unknown = ['REGISTRY_DEVICE_UNKNOWN', 'REGISTRY_MODULE_UNKNOWN'] as const
const written = { headers: ifMatch, asked: json(twinPatchShape), answered } as const
const refused = [...unknown, 'TWIN_INVALID', 'TWIN_CONFLICT', 'REGISTRY_ETAG_STALE'] as const

export const twinTold = {
  GET: { summary: 'The twin of a device or module', answered, faults: unknown },
  PATCH: { summary: 'Merges tags and desired properties; null removes', ...written, faults: refused },
  PUT: { summary: 'Replaces tags, desired properties, or both', ...written, faults: refused },
} as const satisfies Readonly<Record<string, OperationTold>>
