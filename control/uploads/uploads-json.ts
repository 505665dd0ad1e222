/** Uploads as they travel between processes. */
import { aCount, aNumber, aText, type JsonCheck, optional, recordOf } from '#runtime/json-check.ts'
import type { StoredFile, UploadBegun, UploadEnded, UploadId } from './uploads.ts'

export const uploadBegunCheck: JsonCheck<UploadBegun> = recordOf<UploadBegun>({
  deviceId: aText,
  blobName: aText,
  lifeMs: aCount,
})

export const uploadIdCheck: JsonCheck<UploadId> = recordOf<UploadId>({ deviceId: aText, id: aText })

export const uploadEndedCheck: JsonCheck<UploadEnded> = recordOf<UploadEnded>({
  deviceId: aText,
  id: aText,
  stored: optional(recordOf<StoredFile>({ bytes: aCount, changedAtMs: aNumber })),
})
