/** The port of delivery: how far what devices sent is on its way to rows and endpoints, what is in its way, and how much room there is. */

export interface DeliveryState {
  /** @returns what could be learned within a few seconds. Asked often, it is looked at every two seconds. */
  report(): Promise<DeliveryReport>
}

/** What is not known is left out, and stands in `unknown`. */
export interface DeliveryReport {
  readonly atMs: number
  readonly telemetry?: LogDelivery | undefined
  /** Left out also where no device events are wanted. */
  readonly events?: LogDelivery | undefined
  readonly deadLetters?: LetterCounts | undefined
  /** Materialized views over Penstock's tables. */
  readonly views?: readonly ViewReport[] | undefined
  /** In the database of Penstock. */
  readonly tables?: readonly TableSize[] | undefined
  /** Of the data folder and of ClickHouse; one disk may be there under several names. */
  readonly disks?: readonly DiskRoom[] | undefined
  readonly retention: Retention
  readonly unknown: readonly UnknownPart[]
}

export interface UnknownPart {
  readonly part: string
  readonly reason: string
}

/** One log and the table that it is delivered to, by the positions that are written down: what is under way counts as undelivered. */
export interface LogDelivery {
  readonly topic: string
  readonly table: string
  /** Batches on the log that are not delivered. */
  readonly records: number
  /** Messages in them, as if all were as large as the oldest of their partition. */
  readonly messagesEstimated: number
  /** Age of the oldest; 0 if there is none. */
  readonly oldestSeconds: number
  readonly partitions: readonly PartitionDelivery[]
}

export interface PartitionDelivery {
  readonly partition: number
  /** First offset that is kept. */
  readonly first: number
  /** Of what is appended next. */
  readonly next: number
  /** All before it is delivered. */
  readonly position: number
  readonly records: number
  readonly messagesEstimated: number
  readonly oldestSeconds: number
}

export interface LetterCounts {
  /** Letters that nobody settled, and how many of them a replay has begun with. */
  readonly waiting: number
  readonly replaying: number
  readonly messagesWaiting: number
  readonly replayed: number
  readonly dropped: number
  /** Of the oldest that waits. */
  readonly oldestAtMs?: number | undefined
  /** Those that wait, by who refused them; `null`: the table. */
  readonly byEndpoint: readonly {
    readonly endpoint: string | null
    readonly waiting: number
    readonly messages: number
  }[]
}

export interface ViewReport {
  readonly table: string
  readonly name: string
  readonly target?: string | undefined
  /** It lacks rows that are stored. */
  readonly isFailing: boolean
  /** The newest failure that is known, also an old one. */
  readonly failure?: { readonly secondsAgo: number; readonly text: string } | undefined
}

export interface TableSize {
  readonly table: string
  readonly rows: number
  readonly bytes: number
}

export interface DiskRoom {
  readonly name: string
  readonly freeBytes: number
  readonly totalBytes: number
}

/** Of the log, and of the table of telemetry. 0 days: for ever. */
export interface Retention {
  readonly logHours: number
  readonly logMegabytesPerPartition: number
  readonly telemetryDays: number
}
