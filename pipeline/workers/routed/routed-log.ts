import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log } from '#pipeline/log/log.ts'
import type { RecordKind } from '#pipeline/routing/select/selector.ts'

/** A log that routes read, and what its records are. */
export interface RoutedLog {
  readonly kind: RecordKind
  readonly log: Log
  /** Left out: it never grows. */
  readonly spread?: DeviceSpread | undefined
}
