/** The port of authentication: what an edge process asks about who connects, and what it is told. */
import type { X509Certificate } from 'node:crypto'
import type { Policy } from '#control/trust/trust.ts'
import type { ErrorCode } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'

/** What an identity was admitted with; as long as the registry still has it, the connection may stay. */
export type Proof =
  | { readonly kind: 'key'; readonly mark: string }
  | { readonly kind: 'policy'; readonly name: string; readonly mark: string }
  | { readonly kind: 'thumbprint'; readonly thumbprint: string }
  | { readonly kind: 'authority'; readonly name: string; readonly mark: string }

export interface Proven {
  readonly proof: Proof
  /** The proof ends then, with its token; may be too far away for one timer (2^31 ms). `undefined`: no end. */
  readonly expiresAtMs: number | undefined
}

export interface Admitted extends IdentityId, Proven {
  readonly admitted: true
  readonly generationId: string
}

export interface Refused {
  readonly admitted: false
  readonly code: ErrorCode
  /** For logs: may say what an attacker would like to know. Never holds a secret. */
  readonly reason: string
}

export type Admission = Admitted | Refused

/** A service that was let in. */
export interface PolicyProof extends Proven {
  readonly policy: Policy
}

export interface AdmissionRules {
  /** Names of this hub, lower case, without port. */
  readonly hubNames: readonly string[]
  readonly clockSkewMs: number
}

/** A connection's first packet. */
export interface ConnectAttempt {
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  /** From the TLS handshake, leaf first; empty without one. See `certificateChain`. */
  readonly certificates: readonly X509Certificate[]
  /** TLS, or the peer is this machine: secrets may be sent. */
  readonly confidential: boolean
}

/** A request of a device over HTTP, which carries its credentials each time. */
export interface RequestAttempt {
  /** Whom the path names. */
  readonly id: IdentityId
  /** The Authorization header; empty without one. */
  readonly authorization: string
  readonly certificates: readonly X509Certificate[]
  readonly confidential: boolean
}

export function refusal(code: ErrorCode, reason: string): Refused {
  return { admitted: false, code, reason }
}

const tellable: Partial<Record<ErrorCode, string>> = {
  AUTH_CREDENTIALS_MALFORMED: 'the credentials cannot be read',
  AUTH_CREDENTIALS_MISSING: 'credentials are missing',
  AUTH_TOKEN_EXPIRED: 'the token has expired',
  AUTH_SCOPE_MISMATCH: 'the token or user name is for another hub or device',
  AUTH_RIGHT_MISSING: 'the policy does not have the right that this needs',
  AUTH_IDENTITY_DISABLED: 'the device is disabled',
  AUTH_TRANSPORT_INSECURE: 'keys and tokens are taken over TLS only: use the TLS port',
  AUTH_REVOKED: 'the device was disabled, deleted or given other credentials',
  AUTH_DIRECTORY_UNAVAILABLE: 'the hub cannot check credentials at the moment',
}

/** What the refused side may be told. */
export function publicReason({ code }: Pick<Refused, 'code'>): string {
  return tellable[code] ?? 'not authorized'
}
