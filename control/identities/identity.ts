/** What the registry keeps of a device or module, and what is allowed in it. */
import { randomBytes } from 'node:crypto'
import { PenstockError } from '#schemas/errors.ts'
import { checkIdentityId, type IdentityId, identityText } from '#schemas/identity-id.ts'

export const identityStatuses = ['enabled', 'disabled'] as const

export type IdentityStatus = (typeof identityStatuses)[number]

/** `none`: an identity that cannot connect by itself. */
export const authenticationKinds = ['sas', 'selfSigned', 'certificateAuthority', 'none'] as const

export type AuthenticationKind = (typeof authenticationKinds)[number]

/** How an identity proves itself. Keys are base64 text, thumbprints upper-case hexadecimal (SHA-1 or SHA-256). */
export interface Authentication {
  readonly kind: AuthenticationKind
  readonly primaryKey: string | undefined
  readonly secondaryKey: string | undefined
  readonly primaryThumbprint: string | undefined
  readonly secondaryThumbprint: string | undefined
}

/** What a caller says about an identity. */
export interface IdentityContent extends IdentityId {
  readonly status: IdentityStatus
  /** Free text, at most 128 characters. */
  readonly statusReason: string | undefined
  readonly authentication: Authentication
  readonly iotEdge: boolean
  readonly deviceScope: string | undefined
  /** Scope of the edge device above; devices only. Kept, like `deviceScope`, and of no effect. */
  readonly parentScope: string | undefined
  /** Modules only. */
  readonly managedBy: string | undefined
}

/** An identity as the registry keeps it. */
export interface Identity extends IdentityContent {
  /** Tells a re-created identity from the one of the same name before it. */
  readonly generationId: string
  /** Opaque, new with each change; compared without quotes. */
  readonly etag: string
  readonly createdAtMs: number
  readonly statusUpdatedAtMs: number | undefined
  readonly connected: boolean
  readonly connectionUpdatedAtMs: number | undefined
  readonly lastActivityAtMs: number | undefined
  /** Of the model that it announced when it connected last. */
  readonly modelId: string | undefined
  /** Commands that wait for it. */
  readonly commandsWaiting: number
}

/**
 * A warning for the person who makes such an identity; `undefined`: none. The hub allows + and # in ids, but MQTT has them for wildcards,
 * which no topic name may hold.
 */
export function topicWarning(id: IdentityId): string | undefined {
  const text = identityText(id)
  if (!/[+#]/.test(text)) return undefined
  return `${text} cannot publish below devices/${id.deviceId}/ over MQTT, where + and # are wildcards: it has HTTP, and topics of other names`
}

/** A key as the hub makes them: 32 random bytes in base64. */
export function newKey(): string {
  return randomBytes(32).toString('base64')
}

/** True for base64 of 16 to 64 bytes, spelled as an encoder spells it. */
export function isKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length >= 16 && bytes.length <= 64 && bytes.toString('base64') === text
}

/** Upper-case hexadecimal without separators, or `undefined` if it is neither SHA-1 nor SHA-256. */
export function thumbprintFrom(text: string): string | undefined {
  const plain = text.replace(/[:\s]/g, '').toUpperCase()
  return /^([0-9A-F]{40}|[0-9A-F]{64})$/.test(plain) ? plain : undefined
}

export function newEtag(): string {
  return Buffer.from(String(randomBytes(6).readUIntBE(0, 6))).toString('base64')
}

/** Decimal and growing with time, so that generations of one id sort. */
export function newGenerationId(nowMs: number): string {
  return `${nowMs}${String(randomBytes(4).readUInt32BE(0) % 1_000_000).padStart(6, '0')}`
}

/** The keys that an identity of kind `sas` gets: those given, else those it had, else new ones. */
export function completedAuthentication(given: Authentication, before: Authentication | undefined): Authentication {
  if (given.kind !== 'sas') return { ...given, primaryKey: undefined, secondaryKey: undefined }
  return {
    kind: 'sas',
    primaryKey: given.primaryKey || before?.primaryKey || newKey(),
    secondaryKey: given.secondaryKey || before?.secondaryKey || newKey(),
    primaryThumbprint: undefined,
    secondaryThumbprint: undefined,
  }
}

/** Symmetric keys that the registry makes itself. */
export const generatedKeys: Authentication = {
  kind: 'sas',
  primaryKey: undefined,
  secondaryKey: undefined,
  primaryThumbprint: undefined,
  secondaryThumbprint: undefined,
}

/** @throws PenstockError REGISTRY_ID_INVALID, REGISTRY_ARGUMENT_INVALID */
export function checkIdentityContent(content: IdentityContent): void {
  checkIdentityId(content)
  const { authentication, statusReason } = content
  if (statusReason !== undefined && (statusReason.length > 128 || !isStorableText(statusReason))) {
    throw argumentFault('statusReason must be at most 128 characters')
  }
  for (const key of [authentication.primaryKey, authentication.secondaryKey]) {
    if (key && !isKey(key)) throw argumentFault('a symmetric key must be base64 of 16 to 64 bytes')
  }
  const thumbprints = [authentication.primaryThumbprint, authentication.secondaryThumbprint]
  for (const thumbprint of thumbprints) {
    if (thumbprint !== undefined && thumbprintFrom(thumbprint) !== thumbprint) {
      throw argumentFault('a thumbprint must be 40 or 64 hexadecimal digits')
    }
  }
  if (authentication.kind === 'selfSigned' && thumbprints.every((thumbprint) => thumbprint === undefined)) {
    throw argumentFault('authentication type selfSigned needs at least one x509Thumbprint')
  }
  for (const text of [content.deviceScope, content.parentScope, content.managedBy]) {
    if (text !== undefined && (text.length > 512 || !isStorableText(text)))
      throw argumentFault('deviceScope, parentScopes and managedBy must be at most 512 characters')
  }
}

export function argumentFault(message: string): PenstockError {
  return new PenstockError('REGISTRY_ARGUMENT_INVALID', message)
}

/** True for what PostgreSQL can keep as text: no zero character, no half of a surrogate pair. */
export function isStorableText(text: string): boolean {
  return !text.includes('\0') && Buffer.from(text).toString() === text
}

export function existsFault({ deviceId, moduleId }: IdentityId): PenstockError {
  return moduleId === undefined
    ? new PenstockError('REGISTRY_DEVICE_EXISTS', `device ${deviceId} is there already`)
    : new PenstockError('REGISTRY_MODULE_EXISTS', `device ${deviceId} has a module ${moduleId} already`)
}

export function unknownFault({ deviceId, moduleId }: IdentityId): PenstockError {
  return moduleId === undefined
    ? new PenstockError('REGISTRY_DEVICE_UNKNOWN', `no device ${deviceId}`)
    : new PenstockError('REGISTRY_MODULE_UNKNOWN', `device ${deviceId} has no module ${moduleId}`)
}
