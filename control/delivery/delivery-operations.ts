/** `GET /delivery`: how far messages are on their way to rows and endpoints, dead letters, views, disks. What is not known is said to be so. */
import type { Operation } from '#control/rest/operation.ts'
import { aCount, aFlag, aMoment, aNumber, aText, listOf, named, orNull, recordOf } from '#runtime/api/shapes.ts'
import { gives } from '#runtime/api/told.ts'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { DeliveryState } from './delivery.ts'

const progress = { records: aCount, messagesEstimated: aCount, oldestSeconds: aNumber }
const logShape = named(
  'LogDelivery',
  recordOf({
    topic: aText,
    table: aText,
    ...progress,
    partitions: listOf(recordOf({ partition: aCount, first: aCount, next: aCount, position: aCount, ...progress })),
  }),
)
const lettersShape = recordOf(
  {
    waiting: aCount,
    replaying: aCount,
    messagesWaiting: aCount,
    replayed: aCount,
    dropped: aCount,
    byEndpoint: listOf(recordOf({ endpoint: orNull(aText), waiting: aCount, messages: aCount })),
  },
  { oldestAtMs: aMoment },
)
const failure = recordOf({ secondsAgo: aCount, text: aText })
const reportShape = named(
  'Delivery',
  recordOf(
    {
      atMs: aMoment,
      retention: recordOf({ logHours: aCount, logMegabytesPerPartition: aCount, telemetryDays: aCount }),
      unknown: listOf(recordOf({ part: aText, reason: aText })),
    },
    {
      telemetry: logShape,
      events: logShape,
      deadLetters: lettersShape,
      views: listOf(recordOf({ table: aText, name: aText, isFailing: aFlag }, { target: aText, failure })),
      tables: listOf(recordOf({ table: aText, rows: aCount, bytes: aCount })),
      disks: listOf(recordOf({ name: aText, freeBytes: aCount, totalBytes: aCount })),
    },
  ),
)

export function deliveryOperations(state: DeliveryState): Operation[] {
  return [
    {
      method: 'GET',
      pattern: '/delivery',
      told: {
        summary: 'How far messages are on their way to rows, what is in their way, and how much room there is',
        answered: { 200: gives('what is known', reportShape) },
      },
      right: 'ServiceConnect',
      ownerOnly: true,
      run: async () => jsonAnswer(200, await state.report()),
    },
  ]
}
