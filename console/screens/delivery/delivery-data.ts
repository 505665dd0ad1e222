import { json } from '#console/data/call.ts'
import { aBoolean, aNumber, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'

export interface PartitionDelivery {
  readonly partition: number
  readonly next: number
  readonly position: number
  readonly records: number
  readonly messagesEstimated: number
  readonly oldestSeconds: number
}

export interface LogDelivery {
  readonly topic: string
  readonly table: string
  readonly records: number
  readonly messagesEstimated: number
  readonly oldestSeconds: number
  readonly partitions: readonly PartitionDelivery[]
}

interface View {
  readonly table: string
  readonly name: string
  readonly target: string | undefined
  readonly isFailing: boolean
  readonly failure: { readonly secondsAgo: number; readonly text: string } | undefined
}

export interface Delivery {
  readonly telemetry: LogDelivery | undefined
  readonly events: LogDelivery | undefined
  readonly views: readonly View[] | undefined
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly bytes: number }[] | undefined
  readonly disks:
    | readonly { readonly name: string; readonly freeBytes: number; readonly totalBytes: number }[]
    | undefined
  readonly retention: {
    readonly logHours: number
    readonly logMegabytesPerPartition: number
    readonly telemetryDays: number
  }
  readonly unknown: readonly { readonly part: string; readonly reason: string }[]
}

const logCheck = recordOf<LogDelivery>({
  topic: aText,
  table: aText,
  records: aNumber,
  messagesEstimated: aNumber,
  oldestSeconds: aNumber,
  partitions: listOf(
    recordOf<PartitionDelivery>({
      partition: aNumber,
      next: aNumber,
      position: aNumber,
      records: aNumber,
      messagesEstimated: aNumber,
      oldestSeconds: aNumber,
    }),
  ),
})

const check = recordOf<Delivery>({
  telemetry: optional(logCheck),
  events: optional(logCheck),
  views: optional(
    listOf(
      recordOf<View>({
        table: aText,
        name: aText,
        target: optional(aText),
        isFailing: aBoolean,
        failure: optional(recordOf({ secondsAgo: aNumber, text: aText })),
      }),
    ),
  ),
  tables: optional(listOf(recordOf({ table: aText, rows: aNumber, bytes: aNumber }))),
  disks: optional(listOf(recordOf({ name: aText, freeBytes: aNumber, totalBytes: aNumber }))),
  retention: recordOf({ logHours: aNumber, logMegabytesPerPartition: aNumber, telemetryDays: aNumber }),
  unknown: listOf(recordOf({ part: aText, reason: aText })),
})

export function readDelivery(signal: AbortSignal): Promise<Delivery> {
  return json(check, '/delivery', { signal })
}
