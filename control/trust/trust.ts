/**
 * The port of trust: what stands above single devices, policies and authorities. Small, and kept whole by every process.
 * Faults of all calls: STORE_UNAVAILABLE (retry), REGISTRY_ARGUMENT_INVALID.
 */
import type { Right } from '#control/rest/rights.ts'

export interface TrustSource {
  /** @throws of an edge process: AUTH_DIRECTORY_UNAVAILABLE (retry) */
  trust(): Promise<Trust>
}

export interface TrustStore extends TrustSource {
  /** Creates those policies whose names are free. */
  addPolicies(policies: readonly Policy[]): Promise<void>
  /** Creates the policy, or gives it new keys or rights. */
  putPolicy(policy: Policy): Promise<void>
  /** Gives a policy another key and leaves the rest as it is. @returns `undefined`: no such policy */
  rekeyPolicy(name: string, which: KeyName, key: string): Promise<Policy | undefined>
  putAuthority(authority: CertificateAuthority): Promise<void>
  deleteAuthority(name: string): Promise<boolean>
}

export interface Trust {
  readonly policies: readonly Policy[]
  readonly authorities: readonly CertificateAuthority[]
}

/** Two keys are good at a time, so that one can be renewed while the other is in use. */
export type KeyName = 'primary' | 'secondary'

export function isKeyName(value: unknown): value is KeyName {
  return value === 'primary' || value === 'secondary'
}

/** A shared access policy: each of its two keys gives its rights. */
export interface Policy {
  readonly name: string
  readonly rights: readonly Right[]
  readonly primaryKey: string
  readonly secondaryKey: string
}

export interface CertificateAuthority {
  readonly name: string
  /** PEM. */
  readonly certificate: string
  /** True once its owner has proven to hold the private key. */
  readonly verified: boolean
  /** What a proof must be made out to; `undefined` once verified. */
  readonly verificationCode: string | undefined
}
