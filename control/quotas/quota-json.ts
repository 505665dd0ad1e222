import { aNumber, aText, type JsonCheck, optional, recordOf } from '#runtime/json-check.ts'
import type { QuotaOverride } from './quotas.ts'

/** A quota as it travels between processes. */
export const quotaCheck: JsonCheck<QuotaOverride> = recordOf<QuotaOverride>({
  deviceId: aText,
  messagesPerSecond: optional(aNumber),
  bytesPerSecond: optional(aNumber),
  connectionsPerMinute: optional(aNumber),
})
