/** Kept sessions as they travel between processes. */
import { idChecks } from '#control/identities/credentials-json.ts'
import { aCount, optional, recordOf } from '#runtime/json-check.ts'
import type { KeptSession } from './sessions.ts'

export const keptSessionCheck = recordOf<KeptSession>({
  ...idChecks,
  subscriptions: aCount,
  keptSeconds: optional(aCount),
})
