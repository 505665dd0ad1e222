/**
 * The port of provisioning: devices that find their hub by themselves.
 *
 *   operator ─▶ enrolment ─┐
 *   device ─▶ proof ───────┴─▶ attested ─▶ hub chosen ─▶ identity made ─▶ registration ─▶ device, with the name of its hub
 *
 * Faults of all calls: STORE_UNAVAILABLE (retry), REGISTRY_ARGUMENT_INVALID.
 */
import type { IfMatch } from '#control/identities/identities.ts'
import type { Enrolment, EnrolmentContent, EnrolmentKind } from './enrolment.ts'
import type { Registration } from './registration.ts'

/** What operators do. Ids are compared without case. */
export interface Enrolments {
  get(kind: EnrolmentKind, id: string): Promise<Enrolment | undefined>
  /**
   * Creates the enrolment, or puts it in the place of the one there is.
   * @param contentOf told what there is, in whose place it goes; what it throws ends the call
   * @throws REGISTRY_ETAG_STALE, PROVISIONING_GROUPS_FULL
   */
  put(kind: EnrolmentKind, id: string, ifMatch: IfMatch, contentOf: ContentOf): Promise<Enrolment>
  /** @throws PROVISIONING_ENROLMENT_UNKNOWN, REGISTRY_ETAG_STALE */
  delete(kind: EnrolmentKind, id: string, ifMatch: IfMatch): Promise<void>
  /** Those whose id is behind `after`, in order of ids, at most `countMax`. */
  after(kind: EnrolmentKind, after: string, countMax: number): Promise<Enrolment[]>
}

/** @throws of itself, for what it does not want to be put */
export type ContentOf = (before: Enrolment | undefined) => EnrolmentContent

/** What became of registrations; for operators. */
export interface Registrations {
  get(registrationId: string): Promise<Registration | undefined>
  /** @throws PROVISIONING_REGISTRATION_UNKNOWN, REGISTRY_ETAG_STALE */
  delete(registrationId: string, ifMatch: IfMatch): Promise<void>
  /** Those of a group whose id is behind `after`, in order of ids, at most `countMax`. */
  ofGroup(groupId: string, after: string, countMax: number): Promise<Registration[]>
}
