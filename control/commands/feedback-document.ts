import type { CommandEnd } from '#schemas/commands.ts'
import type { FeedbackRecord } from './commands.ts'

export const feedbackContentType = 'application/vnd.microsoft.iothub.feedback.json'

const descriptions: Readonly<Record<CommandEnd, string>> = {
  Success: 'Success',
  Expired: 'Message expired',
  DeliveryCountExceeded: 'Maximum delivery count exceeded',
  Rejected: 'Message rejected',
  Purged: 'Message purged',
}

/** A record as the hub writes it; several make an array. */
export function feedbackDocument(record: FeedbackRecord): Readonly<Record<string, unknown>> {
  return {
    originalMessageId: record.messageId,
    enqueuedTimeUtc: new Date(record.atMs).toISOString(),
    statusCode: record.status,
    description: descriptions[record.status],
    deviceId: record.deviceId,
    ...(record.moduleId === undefined ? {} : { moduleId: record.moduleId }),
    deviceGenerationId: record.generationId,
  }
}
