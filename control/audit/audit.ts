/** The port of the audit: who changed what over the service API, or tried to. A row never holds a body, a query or a key. */
import type { AuditEntry, AuditKind } from '#control/rest/audited.ts'

export interface AuditRow extends AuditEntry {
  /** Grows. */
  readonly id: number
}

/** What is not named does not matter. */
export interface AuditFilter {
  readonly kind?: AuditKind | undefined
  readonly policy?: string | undefined
  readonly from?: string | undefined
  /** Somewhere in the path. */
  readonly pathPart?: string | undefined
  readonly sinceMs?: number | undefined
  readonly untilMs?: number | undefined
  /** Only rows with a smaller id. */
  readonly before?: number | undefined
}

export interface AuditTrail {
  /** In this order. @throws STORE_UNAVAILABLE */
  write(entries: readonly AuditEntry[]): Promise<void>
  /** The newest first. @throws STORE_UNAVAILABLE */
  list(filter: AuditFilter, countMax: number): Promise<readonly AuditRow[]>
  /** Removes what is older, and the oldest beyond `limits.auditRowsMax`. @returns how many. @throws STORE_UNAVAILABLE */
  forget(beforeMs: number): Promise<number>
}
