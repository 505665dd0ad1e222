/**
 * Who sends in a format whose clients know no devices, and what proves it. The first of these that names one counts:
 *
 *   path         /devices/{d}[/modules/{m}]/…                 a base address that ends in it
 *   credential   Token | Bearer {d}[/{m}]:{key or SAS token}
 *                Basic {d}[/{m}]:{key or SAS token}           also u= and p= of InfluxDB 1
 *                SharedAccessSignature sr={hub}/devices/{d}…  with any of the schemes, or alone
 *   fallback     what the format has for it, as a bucket      the credential is then a key, a policy's token or a certificate
 *
 * Whoever is named has to prove it like any other device [G-6]; where no identities are required, it is believed.
 */
import { ownerOfScope, parseSasToken } from '#control/auth/sas-token.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type IdentityId, identityFromText, idRule, isIdentityId } from '#schemas/identity-id.ts'
import { type Credential, credentialOf } from './credential.ts'
import { deviceOf } from './device-gate.ts'

/** What the path of a route says of who sends. */
export type NamedInPath = 'nobody' | 'device' | 'module'

/** How paths begin under which a format is served. */
export const senderPaths: readonly (readonly [NamedInPath, string])[] = [
  ['nobody', ''],
  ['device', '/devices/:device'],
  ['module', '/devices/:device/modules/:module'],
]

export interface NamedSender extends IdentityId {
  /** A key or token; empty: none was sent. */
  readonly secret: string
}

/**
 * @param fallback names the sender where neither path nor credential do
 * @param credential sent elsewhere than in the header
 * @throws INGEST_BODY_MALFORMED
 */
export function senderOf(
  request: HttpRequest,
  inPath: NamedInPath,
  fallback?: string,
  credential: Credential = credentialOf(request.header('authorization')),
): NamedSender {
  const { secret } = credential
  if (inPath !== 'nobody') return { ...deviceOf(request, inPath === 'module'), secret }
  const name = credential.name ?? fallback
  const id = credential.name === undefined ? ownerOfSecret(secret) : undefined
  const named = id ?? (name === undefined ? undefined : identityFromText(name))
  if (named === undefined) {
    const text =
      'nobody is named as the sender: begin the path with /devices/{device}, or send {device}:{key} as the token'
    throw new PenstockError('INGEST_BODY_MALFORMED', text)
  }
  const { deviceId, moduleId } = named
  if (!isIdentityId(deviceId) || (moduleId !== undefined && !isIdentityId(moduleId)))
    throw new PenstockError('INGEST_BODY_MALFORMED', `what names the sender is no device id, which is ${idRule}`)
  return { deviceId, moduleId, secret }
}

function ownerOfSecret(secret: string): IdentityId | undefined {
  const token = parseSasToken(secret)
  return token && ownerOfScope(token)
}
