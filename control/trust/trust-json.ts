import { rights } from '#control/rest/rights.ts'
import { aBoolean, aText, type JsonCheck, listOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import type { CertificateAuthority, Policy, Trust } from './trust.ts'

/** Policies and authorities as they travel between processes. */
export const trustCheck: JsonCheck<Trust> = recordOf<Trust>({
  policies: listOf(
    recordOf<Policy>({ name: aText, rights: listOf(oneOf(...rights)), primaryKey: aText, secondaryKey: aText }),
  ),
  authorities: listOf(
    recordOf<CertificateAuthority>({
      name: aText,
      certificate: aText,
      verified: aBoolean,
      verificationCode: optional(aText),
    }),
  ),
})
