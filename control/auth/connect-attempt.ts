/**
 * What a CONNECT says, taken apart: who it claims to be, and with what it wants to prove it.
 *
 *   user name                      client id            password             evidence
 *   {hub}/{d}[/{m}][/?…]           must be {d}[/{m}]    SAS token, or none   token, or certificate
 *   {d}[/{m}]                      anything             SAS token or key     token, or key
 *   none                           {d}[/{m}]            none                 certificate
 */
import type { X509Certificate } from 'node:crypto'
import { type IdentityId, isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { type ConnectAttempt, type Refused, refusal } from './auth.ts'
import { isHubName, looksLikeSasToken, parseSasToken, type SasToken } from './sas-token.ts'

export type Evidence =
  | { readonly kind: 'token'; readonly token: SasToken }
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'certificate'; readonly certificates: readonly X509Certificate[] }

export interface Claim {
  readonly refused?: undefined
  readonly id: IdentityId
  readonly evidence: Evidence
}

/** Reads an attempt; nothing is verified yet. @param hubNames lower case, without port */
export function claimOf(attempt: ConnectAttempt, hubNames: readonly string[]): Claim | { readonly refused: Refused } {
  const id = claimedId(attempt, hubNames)
  if ('admitted' in id) return { refused: id }
  const evidence = evidenceOf(attempt.password, attempt.certificates, attempt.confidential)
  return 'admitted' in evidence ? { refused: evidence } : { id, evidence }
}

function claimedId({ clientId, username }: ConnectAttempt, hubNames: readonly string[]): IdentityId | Refused {
  if (username === undefined || username === '') return idFrom(clientId, 'the client id')
  const [first = '', ...rest] = username.split('/')
  if (rest.length === 0 || !isHubName(first, hubNames)) {
    // A host that is not this hub's, followed by what only the hub's own form has, deserves to be named.
    if (rest.some((segment) => segment.startsWith('?') || segment.includes('api-version='))) {
      return refusal('AUTH_SCOPE_MISMATCH', `the user name is for another hub: ${shown(first)}`)
    }
    return idFrom(username, 'the user name')
  }
  const query = rest.findIndex((segment) => segment.startsWith('?') || segment.includes('api-version='))
  const ids = (query < 0 ? rest : rest.slice(0, query)).join('/').replace(/\/$/, '')
  if (ids !== clientId) {
    return refusal('AUTH_CREDENTIALS_MALFORMED', 'the client id must equal the id in the user name')
  }
  return idFrom(ids, 'the user name')
}

function idFrom(text: string, where: string): IdentityId | Refused {
  const [deviceId = '', moduleId, more] = text.split('/')
  if (more !== undefined || !isIdentityId(deviceId) || (moduleId !== undefined && !isIdentityId(moduleId))) {
    return refusal('AUTH_CREDENTIALS_MALFORMED', `${where} names no device: ${shown(text)}`)
  }
  return { deviceId, moduleId }
}

/** Evidence of a password (MQTT, AMQP) or Authorization header (HTTP); the certificate counts only without one. */
export function evidenceOf(
  password: Uint8Array | undefined,
  certificates: readonly X509Certificate[],
  confidential: boolean,
): Evidence | Refused {
  if (password === undefined || password.length === 0) {
    if (certificates.length > 0) return { kind: 'certificate', certificates }
    return refusal('AUTH_CREDENTIALS_MISSING', 'neither a password nor a certificate was sent')
  }
  if (!confidential) return refusal('AUTH_TRANSPORT_INSECURE', 'secrets are taken over TLS or on loopback only')
  if (password.length > limits.credentialBytesMax) {
    return refusal('AUTH_CREDENTIALS_MALFORMED', 'the password is too long')
  }
  const text = Buffer.from(password).toString('latin1')
  if (!looksLikeSasToken(text)) return { kind: 'key', key: text }
  const token = parseSasToken(text)
  return token ? { kind: 'token', token } : refusal('AUTH_CREDENTIALS_MALFORMED', 'the SAS token cannot be read')
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, limits.deviceIdBytesMax))
}
