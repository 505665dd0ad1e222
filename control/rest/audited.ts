/** What operations tell the audit. */
/**
 * `changed`: an attempt at a change, whatever came of it; `revealed`: keys were shown; `refused`: the caller was not let in.
 */
export const auditKinds = ['changed', 'revealed', 'refused'] as const

export type AuditKind = (typeof auditKinds)[number]

export interface AuditEntry {
  readonly atMs: number
  readonly kind: AuditKind
  readonly method: string
  /** As it was asked for, still percent-encoded; at most `auditPathLengthMax`. */
  readonly path: string
  /** Of the caller; `undefined` if it is not known. */
  readonly policy: string | undefined
  /** Address of the client. */
  readonly from: string
  readonly status: number
  /** Why not: an error code, or what the gate said. */
  readonly fault: string | undefined
  /** What the answer warned of. */
  readonly warning: string | undefined
  /** Requests like this one, one after the other; of all but refusals it is one. */
  readonly count: number
}

/** Whoever writes it down. */
export interface AuditSink {
  add(entry: AuditEntry): void
}
