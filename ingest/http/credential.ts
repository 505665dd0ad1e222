/**
 * What an Authorization header says, by whatever scheme the settings of a client have:
 *
 *   SharedAccessSignature sr=…                 as the hub's own clients send it
 *   {key}                                      a key as it stands
 *   Token | Bearer [{d}[/{m}]:]{key or SAS token}
 *   Basic [{d}[/{m}]:]{key or SAS token}       in base64
 */
import { looksLikeSasToken } from '#control/auth/sas-token.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'

export interface Credential {
  /** Left out: it names nobody. */
  readonly name?: string | undefined
  readonly secret: string
}

/** @param authorization the header */
export function credentialOf(authorization: string): Credential {
  // HOT: per request of a device, and most send a token.
  if (looksLikeSasToken(authorization)) return { secret: authorization }
  const [, scheme = '', value = ''] = /^(token|bearer|basic) +(.+)$/i.exec(authorization) ?? []
  if (scheme === '') return namedSecret(authorization)
  return namedSecret(scheme.toLowerCase() === 'basic' ? Buffer.from(value, 'base64').toString('latin1') : value)
}

/** A key has no colon, but an id may: it ends at the last one, or where a token begins. */
function namedSecret(text: string): Credential {
  if (looksLikeSasToken(text)) return { secret: text }
  const token = text.search(/:sharedaccesssignature /i)
  const colon = token < 0 ? text.lastIndexOf(':') : token
  return colon < 0 ? { secret: text } : { name: text.slice(0, colon), secret: text.slice(colon + 1) }
}

/** A 401 asks for credentials (RFC 9110, section 11.6.1): clients that have a name and a password send them once they are asked. */
export function withChallenge(answer: HttpAnswer): HttpAnswer {
  if (answer.status !== 401) return answer
  return { ...answer, headers: { ...answer.headers, 'WWW-Authenticate': 'Basic realm="penstock"' } }
}
