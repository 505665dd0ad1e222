/**
 * SAS tokens: what a key holder signs instead of sending the key.
 *
 *   SharedAccessSignature sr={scope}&sig={signature}&se={expiry}[&skn={policy}]        fields in any order
 *
 *   scope      `host`, `host/devices/d` or `host/devices/d/modules/m`, percent-encoded or not; covers everything below it
 *   expiry     decimal seconds since 1970 UTC
 *   signature  percent-encoded base64 of HMAC-SHA256(key bytes, scope as it stands + "\n" + expiry as it stands); key bytes are the
 *              key's base64 decoded, or its text where a client of Event Hubs signs
 *   policy     whose key signed; absent, empty or `registration`: the device's own
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'

export interface SasToken {
  /** As it stands in the token: what was signed. */
  readonly scopeText: string
  readonly expiryText: string
  readonly signature: Buffer
  /** `undefined`: signed by the device's own key. */
  readonly policyName: string | undefined
}

const scheme = 'sharedaccesssignature '

/** True if the text claims to be a token, well-formed or not. */
export function looksLikeSasToken(text: string): boolean {
  return text.slice(0, scheme.length).toLowerCase() === scheme
}

/** Reads a token; `undefined` if it is not well-formed. Nothing is verified yet. */
export function parseSasToken(text: string): SasToken | undefined {
  if (text.length > limits.credentialBytesMax || !looksLikeSasToken(text)) return undefined
  const fields = new Map<string, string>()
  for (const part of text.slice(scheme.length).trim().split('&')) {
    const equals = part.indexOf('=')
    const name = part.slice(0, equals)
    if (equals < 1 || fields.has(name)) return undefined
    fields.set(name, part.slice(equals + 1))
  }
  const scopeText = fields.get('sr')
  const expiryText = fields.get('se')
  const signature = signatureFrom(fields.get('sig') ?? '')
  const policyName = decoded(fields.get('skn') ?? '')
  if (!scopeText || !expiryText || !/^\d{1,15}$/.test(expiryText) || !signature || policyName === undefined) {
    return undefined
  }
  const own = policyName === '' || policyName === 'registration'
  return { scopeText, expiryText, signature, policyName: own ? undefined : policyName }
}

function signatureFrom(text: string): Buffer | undefined {
  const base64 = decoded(text)
  if (base64 === undefined || !/^[A-Za-z0-9+/]{43}=$/.test(base64)) return undefined
  return Buffer.from(base64, 'base64')
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Which of the keys (base64) signed the token; `undefined`: none. Takes the same time whichever it is. */
export function signingKeyOf(token: SasToken, keys: readonly (string | undefined)[]): string | undefined {
  let signer: string | undefined
  for (const key of keys) {
    if (!key) continue
    for (const bytes of keyBytesOf(token, key)) {
      const expected = signatureOf(token.scopeText, token.expiryText, bytes)
      if (timingSafeEqual(expected, token.signature)) signer = key
    }
  }
  return signer
}

/** Clients that read events sign for `sb://…`, and some of them with the text of the key as it stands. */
function keyBytesOf({ scopeText }: SasToken, key: string): Buffer[] {
  const bytes = Buffer.from(key, 'base64')
  return /^sb(?::|%3a)/i.test(scopeText) ? [bytes, Buffer.from(key)] : [bytes]
}

function signatureOf(scopeText: string, expiryText: string, key: Buffer): Buffer {
  return createHmac('sha256', key).update(`${scopeText}\n${expiryText}`).digest()
}

/** The last moment the token is good for, UTC milliseconds, `skewMs` added for clocks that differ. Up to 10^18: no timer takes that. */
export function expiresAtMsOf(token: SasToken, skewMs: number): number {
  return Number(token.expiryText) * 1_000 + skewMs
}

/**
 * True if the token's scope is one of the hub's names or a resource of it that `resource` is, or lies below, segment by segment.
 * Neither case nor a second encoding of an id counts where the device's own key signed: that key already says whose token it is. A
 * policy's key signs for any device, and there the scope alone tells `a` from `A`, and `a%41` from both: it is decoded once.
 * @param hubNames lower case, without port
 * @param resource e.g. `['devices', 'd', 'modules', 'm']`, as they stand in the registry
 */
export function scopeCovers(token: SasToken, hubNames: readonly string[], resource: readonly string[]): boolean {
  const scope = decoded(token.scopeText)?.replace(/^(?:https?|sb|amqps?):\/\//i, '')
  if (scope === undefined) return false
  const segments = scope.split('/')
  while (segments.length > 1 && segments.at(-1) === '') segments.pop()
  const [host = '', ...path] = segments
  if (!isHubName(host, hubNames) || path.length > resource.length) return false
  const isOwnKey = token.policyName === undefined
  return path.every((segment, index) => {
    const wanted = resource[index] ?? ''
    const anySpelling = isOwnKey || (index % 2 === 0 && collections.has(wanted))
    return segment === wanted || (anySpelling && isNearly(segment, wanted))
  })
}

/** Ids stand behind them; in any other path, as that of a quota, they may stand anywhere. */
const collections: ReadonlySet<string> = new Set(['devices', 'modules'])

/** Whom the scope is of: `undefined` where it is that of more than one device or module. */
export function ownerOfScope(token: SasToken): IdentityId | undefined {
  const [, devices, deviceId, modules, moduleId] = (decoded(token.scopeText) ?? '')
    .replace(/^https?:\/\//i, '')
    .split('/')
  if (devices?.toLowerCase() !== 'devices' || !deviceId) return undefined
  return { deviceId, moduleId: modules?.toLowerCase() === 'modules' && moduleId ? moduleId : undefined }
}

/** True if `host`, with or without a port, is a name of this hub. */
export function isHubName(host: string, hubNames: readonly string[]): boolean {
  return hubNames.includes(host.replace(/:\d{1,5}$/, '').toLowerCase())
}

/** The same but for case, and for the encoding that some clients give an id once more. Collection names never have a case. */
function isNearly(segment: string, wanted: string): boolean {
  return (decoded(segment) ?? segment).toLowerCase() === wanted.toLowerCase()
}

export interface SasTokenContent {
  /** Not encoded: `host/devices/d`. */
  readonly scope: string
  readonly key: string
  readonly expiresAtMs: number
  readonly policyName?: string | undefined
}

/** Makes a token, as a device or service would. */
export function createSasToken({ scope, key, expiresAtMs, policyName }: SasTokenContent): string {
  const scopeText = encodeURIComponent(scope)
  const expiryText = String(Math.floor(expiresAtMs / 1_000))
  const signature = encodeURIComponent(
    signatureOf(scopeText, expiryText, Buffer.from(key, 'base64')).toString('base64'),
  )
  const policy = policyName === undefined ? '' : `&skn=${encodeURIComponent(policyName)}`
  return `SharedAccessSignature sr=${scopeText}&sig=${signature}&se=${expiryText}${policy}`
}
