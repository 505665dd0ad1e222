/**
 * The port of provisioning: devices that find their hub by themselves.
 *
 *   operator ─▶ enrolment ─┐
 *   device ─▶ proof ───────┴─▶ attested ─▶ hub chosen ─▶ identity made ─▶ registration ─▶ device, with the name of its hub
 *
 * Faults of all calls: STORE_UNAVAILABLE (retry), REGISTRY_ARGUMENT_INVALID.
 */
import type { IfMatch } from '#control/identities/identities.ts'
import type { LinkedHub } from './allocation.ts'
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

/** Further hubs that devices are sent to. */
export interface LinkedHubs {
  /** In order of names. */
  all(): Promise<LinkedHub[]>
  /** Links a hub, or puts it in the place of the one of its name. */
  put(hub: LinkedHub): Promise<void>
  /** Devices that it has stay there. @throws PROVISIONING_HUB_UNKNOWN */
  delete(hostName: string): Promise<void>
}

/**
 *   connect   whether the device may ask at all
 *   register  it wants a hub
 *   status    what became of that, by `operationId`
 *   lookup    what became of it last
 */
export const provisioningSteps = ['connect', 'register', 'status', 'lookup'] as const
export type ProvisioningStep = (typeof provisioningSteps)[number]

/** Public keys of a device's TPM: base64 of TPM2B_PUBLIC. */
export interface TpmKeys {
  readonly endorsementKey: string
  readonly storageRootKey: string
}

/** What a device asks, with what it proves itself with: each time, so that nothing is believed that was true before. */
export interface ProvisioningRequest {
  readonly step: ProvisioningStep
  readonly registrationId: string
  /** A SAS token as it was sent. */
  readonly token: string | undefined
  /** Of a device without a token, from the TLS handshake: base64 DER, leaf first. */
  readonly certificates: readonly string[]
  readonly operationId: string | undefined
  /** JSON text for whoever chooses the hub. */
  readonly payload: string | undefined
  /** Of a device that proves itself by its TPM. */
  readonly tpm?: TpmKeys | undefined
}

export interface ProvisioningAnswer {
  /** As in HTTP. */
  readonly status: number
  /** JSON in ASCII: one of the hub's clients reads nothing else. */
  readonly body: string
  readonly retryAfterSeconds: number | undefined
  /** 401, and no refusal: it holds the key with which the device comes again. */
  readonly isChallenge?: boolean | undefined
}

/** What edge processes ask in the name of devices. */
export interface Registrar {
  /** @returns never rejects for what a device sends @throws STORE_UNAVAILABLE; of an edge process AUTH_DIRECTORY_UNAVAILABLE (retry) */
  provision(request: ProvisioningRequest): Promise<ProvisioningAnswer>
}
