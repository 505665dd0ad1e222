/** Twins as they travel between processes. */
import { aCount, aText, type JsonCheck, listOf, optional, recordOf, variantsOf, wholeAs } from '#runtime/json-check.ts'
import { type ErrorCode, errorTable, isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { JsonObject } from './section.ts'
import type { DesiredChange, DesiredSeen, DeviceTwin, Report, TwinNotice, WholeTwin } from './twins.ts'

const idChecks = { deviceId: aText, moduleId: optional(aText) } as const

export const foundTwinCheck: JsonCheck<IdentityId & DeviceTwin> = recordOf<IdentityId & DeviceTwin>({
  ...idChecks,
  text: aText,
  desiredVersion: aCount,
})

export const wholeTwinCheck: JsonCheck<WholeTwin> = recordOf<WholeTwin>({ ...idChecks, text: aText })

export const desiredSeenCheck: JsonCheck<DesiredSeen> = recordOf<DesiredSeen>({ ...idChecks, version: aCount })

export const desiredChangeCheck: JsonCheck<DesiredChange> = recordOf<DesiredChange>({
  ...idChecks,
  version: aCount,
  text: aText,
})

export const twinNoticeCheck: JsonCheck<TwinNotice> = optional(listOf(desiredSeenCheck))

/** The patch was checked by who asks. */
const aPatch: JsonCheck<JsonObject> = wholeAs<JsonObject>(recordOf({}))

export const reportCheck: JsonCheck<Report> = recordOf<Report>({
  id: recordOf<IdentityId>(idChecks),
  patch: aPatch,
  bytes: aCount,
  ifVersion: optional(aCount),
})

/** What became of one of several reports. */
export type ReportOutcome =
  | { readonly kind: 'committed'; readonly version: number }
  | { readonly kind: 'refused'; readonly code: string; readonly reason: string }

export const reportOutcomeCheck: JsonCheck<ReportOutcome> = variantsOf<'kind', ReportOutcome>('kind', {
  committed: recordOf<{ readonly kind: 'committed'; readonly version: number }>({
    kind: () => 'committed',
    version: aCount,
  }),
  refused: recordOf<{ readonly kind: 'refused'; readonly code: string; readonly reason: string }>({
    kind: () => 'refused',
    code: aText,
    reason: aText,
  }),
})

/** Never rejects. */
export function outcomeOf(reported: Promise<number>): Promise<ReportOutcome> {
  return reported.then(
    (version) => ({ kind: 'committed', version }) as const,
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error)
      return { kind: 'refused', code: isPenstockError(error) ? error.code : 'LINK_QUESTION_FAILED', reason } as const
    },
  )
}

/** @throws PenstockError what the other process refused it with */
export function versionOf(outcome: ReportOutcome): number {
  if (outcome.kind === 'committed') return outcome.version
  const { code, reason } = outcome
  const isKnown = Object.hasOwn(errorTable, code)
  throw new PenstockError(isKnown ? (code as ErrorCode) : 'LINK_QUESTION_FAILED', reason)
}
