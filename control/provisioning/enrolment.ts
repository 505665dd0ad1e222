/** What provisioning keeps of a device, or of a group of devices, that may register, and what is allowed in it. */
import { argumentFault, isKey, isStorableText, newKey } from '#control/identities/identity.ts'
import type { TwinPatch } from '#control/twins/twins.ts'
import { certificateFrom } from '#runtime/certificates.ts'
import { isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { tpmPublicFrom } from './tpm-challenge.ts'

/** `individual`: one device, whose registration id is the enrolment's. `group`: all that prove themselves by the group's key or authority. */
export type EnrolmentKind = 'individual' | 'group'

export interface SymmetricKeys {
  readonly kind: 'symmetricKey'
  readonly primaryKey: string
  readonly secondaryKey: string
}

/**
 * Certificates as PEM: of a device its own (`client`), of a group authorities that sign those of its devices (`signing`), or names of
 * authorities whose owner has proven to hold them (`authorities`).
 */
export interface X509 {
  readonly kind: 'x509'
  readonly use: 'client' | 'signing' | 'authorities'
  readonly primary: string
  readonly secondary: string | undefined
}

/** A TPM, known by its endorsement key (base64 of a TPM2B_PUBLIC). What it signs with is made of `secret`, which only this service knows. */
export interface Tpm {
  readonly kind: 'tpm'
  readonly endorsementKey: string
  /** Of its own; `undefined`: the device says it. */
  readonly storageRootKey: string | undefined
  readonly secret: string
}

export type Attestation = SymmetricKeys | X509 | Tpm

export const allocationPolicies = ['hashed', 'geoLatency', 'static', 'custom'] as const

export interface Allocation {
  readonly policy: (typeof allocationPolicies)[number]
  /** Host names of linked hubs that are chosen from; empty: all. */
  readonly hubs: readonly string[]
  /** Of `custom`. */
  readonly webhook: { readonly url: string; readonly apiVersion: string } | undefined
}

export interface Reprovisioning {
  /** False: a device stays with the hub it once got. */
  readonly updateHubAssignment: boolean
  /** Of a device that gets another hub: its twin goes with it; false: it begins anew. */
  readonly migrateDeviceData: boolean
}

/** What a caller says. */
export interface EnrolmentContent {
  readonly kind: EnrolmentKind
  /** As it was written; ids that differ by case only are one. */
  readonly id: string
  /** Of individuals; `undefined`: the registration id. */
  readonly deviceId: string | undefined
  readonly attestation: Attestation
  readonly isEnabled: boolean
  readonly allocation: Allocation
  readonly reprovisioning: Reprovisioning
  readonly initialTwin: TwinPatch | undefined
  readonly iotEdge: boolean
  /** What the caller wants to remember; nothing is made of it. */
  readonly information: Readonly<Record<string, unknown>> | undefined
}

export interface Enrolment extends EnrolmentContent {
  readonly etag: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

const registrationIdPattern = /^[A-Za-z0-9\-._:]*[A-Za-z0-9-]$/

export const registrationIdRule = `1 to ${limits.deviceIdBytesMax} letters, digits or - . _ :, the last one a letter, a digit or -`

/** True for what the hub allows as the id of a registration or group. Case does not tell two of them apart. */
export function isRegistrationId(text: string): boolean {
  return text.length <= limits.deviceIdBytesMax && registrationIdPattern.test(text)
}

/** Under which an id is kept and found. */
export function idKey(id: string): string {
  return id.toLowerCase()
}

/** @throws REGISTRY_ARGUMENT_INVALID */
export function checkEnrolment(content: EnrolmentContent): void {
  const { kind, id, deviceId, attestation, allocation, information } = content
  if (!isRegistrationId(id)) throw argumentFault(`an enrolment id must be ${registrationIdRule}`)
  if (deviceId !== undefined && (kind === 'group' || !isIdentityId(deviceId)))
    throw argumentFault('deviceId must be the id of a device; devices of a group have their registration ids')
  checkAttestation(kind, attestation)
  checkAllocation(allocation)
  if (information !== undefined) {
    const text = JSON.stringify(information)
    if (Buffer.byteLength(text) > limits.enrolmentInformationBytesMax || !isStorableText(text))
      throw argumentFault(`optionalDeviceInformation has at most ${limits.enrolmentInformationBytesMax} bytes`)
  }
}

function checkAttestation(kind: EnrolmentKind, attestation: Attestation): void {
  if (attestation.kind === 'symmetricKey') {
    if (![attestation.primaryKey, attestation.secondaryKey].every(isKey))
      throw argumentFault('a symmetric key must be base64 of 16 to 64 bytes')
    return
  }
  if (attestation.kind === 'tpm') {
    if (kind === 'group') throw argumentFault('a group has keys or certificates: a TPM is one device’s')
    for (const key of [attestation.endorsementKey, attestation.storageRootKey])
      if (key !== undefined && tpmPublicFrom(key) === undefined)
        throw argumentFault('endorsementKey and storageRootKey must be base64 of a TPM2B_PUBLIC of an RSA key')
    return
  }
  const { use, primary, secondary } = attestation
  if (use === 'client' && kind === 'group') throw argumentFault('a group has signingCertificates or caReferences')
  if (use === 'authorities') return
  for (const text of [primary, secondary]) {
    if (text === undefined) continue
    const certificate = certificateFrom(text)
    if (certificate === undefined) throw argumentFault('a certificate must be PEM or base64 DER')
    if (use === 'signing' && !certificate.ca)
      throw argumentFault('a signing certificate is an authority: its basic constraints must say CA')
  }
}

function checkAllocation({ policy, hubs, webhook }: Allocation): void {
  if (policy === 'static' && hubs.length > 1) throw argumentFault('a static allocation names one hub')
  if ((policy === 'custom') !== (webhook !== undefined))
    throw argumentFault('customAllocationDefinition goes with the allocation policy custom, and with no other')
  if (webhook !== undefined && !/^https?:\/\//.test(URL.canParse(webhook.url) ? webhook.url : ''))
    throw argumentFault('webhookUrl must be an address https://…')
}

/** Keys that are left out are those there were, else new ones. */
export function completedKeys(
  given: { readonly primaryKey: string | undefined; readonly secondaryKey: string | undefined },
  before: Attestation | undefined,
): SymmetricKeys {
  const had = before?.kind === 'symmetricKey' ? before : undefined
  return {
    kind: 'symmetricKey',
    primaryKey: given.primaryKey || had?.primaryKey || newKey(),
    secondaryKey: given.secondaryKey || had?.secondaryKey || newKey(),
  }
}
