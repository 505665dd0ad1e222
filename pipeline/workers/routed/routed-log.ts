import type { Log } from '#pipeline/log/log.ts'
import type { RecordKind } from '#pipeline/routing/select/selector.ts'

/** A log that routes read, and what its records are. */
export interface RoutedLog {
  readonly kind: RecordKind
  readonly log: Log
}
