import type { RangeLimits } from '#pipeline/endpoints/delivery-range.ts'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { limits } from '#schemas/limits.ts'

/** As much as one insert may hold. */
export const insertRange: RangeLimits = {
  messagesMax: limits.insertRowsMax,
  bytesMax: limits.insertBytesMax,
  envelopeBytesMax: limits.insertBodyBytesMax,
}

const requestRange: RangeLimits = {
  messagesMax: limits.requestRangeMessagesMax,
  bytesMax: limits.requestRangeBytesMax,
  envelopeBytesMax: limits.requestRangeBodyBytesMax,
}

/** What one range of a destination may hold. */
export function rangeLimitsOf({ atomic, rangeLimits }: TableSink | Endpoint): RangeLimits {
  return rangeLimits ?? (atomic ? insertRange : requestRange)
}
