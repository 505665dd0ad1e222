/** Identities as the hub's REST API writes and reads them. */

import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import {
  type Authentication,
  type AuthenticationKind,
  argumentFault,
  generatedKeys,
  type Identity,
  type IdentityContent,
  type IdentityStatus,
  thumbprintFrom,
} from './identity.ts'

const unsetTime = '0001-01-01T00:00:00Z'

export function documentOf(identity: Identity): Readonly<Record<string, unknown>> {
  return identity.moduleId === undefined ? deviceDocument(identity) : moduleDocument(identity)
}

function deviceDocument(device: Identity): Readonly<Record<string, unknown>> {
  return {
    deviceId: device.deviceId,
    generationId: device.generationId,
    etag: device.etag,
    connectionState: connectionState(device),
    status: device.status,
    statusReason: device.statusReason ?? null,
    connectionStateUpdatedTime: timeText(device.connectionUpdatedAtMs),
    statusUpdatedTime: timeText(device.statusUpdatedAtMs),
    lastActivityTime: timeText(device.lastActivityAtMs),
    cloudToDeviceMessageCount: device.commandsWaiting,
    authentication: authenticationDocument(device.authentication),
    capabilities: { iotEdge: device.iotEdge },
    ...(device.deviceScope === undefined ? {} : { deviceScope: device.deviceScope }),
    parentScopes: device.parentScope === undefined ? [] : [device.parentScope],
  }
}

function moduleDocument(module: Identity): Readonly<Record<string, unknown>> {
  return {
    moduleId: module.moduleId,
    managedBy: module.managedBy ?? null,
    deviceId: module.deviceId,
    generationId: module.generationId,
    etag: module.etag,
    connectionState: connectionState(module),
    connectionStateUpdatedTime: timeText(module.connectionUpdatedAtMs),
    lastActivityTime: timeText(module.lastActivityAtMs),
    cloudToDeviceMessageCount: module.commandsWaiting,
    authentication: authenticationDocument(module.authentication),
  }
}

/** What is kept of a twin beside its identity. */
export interface TwinPart {
  readonly etag: string
  readonly version: number
  readonly tags: unknown
  readonly properties: unknown
  readonly configurations: Readonly<Record<string, unknown>>
}

/** The twin of an identity. Never a key. */
export function twinDocument(identity: Identity, twin: TwinPart): Readonly<Record<string, unknown>> {
  const { authentication } = identity
  return {
    deviceId: identity.deviceId,
    ...(identity.moduleId === undefined ? {} : { moduleId: identity.moduleId }),
    etag: twin.etag,
    deviceEtag: identity.etag,
    status: identity.status,
    ...(identity.statusReason === undefined ? {} : { statusReason: identity.statusReason }),
    statusUpdateTime: timeText(identity.statusUpdatedAtMs),
    connectionState: connectionState(identity),
    lastActivityTime: timeText(identity.lastActivityAtMs),
    cloudToDeviceMessageCount: identity.commandsWaiting,
    authenticationType: authentication.kind,
    x509Thumbprint: thumbprints(authentication),
    modelId: identity.modelId ?? '',
    version: twin.version,
    tags: twin.tags,
    properties: twin.properties,
    ...(Object.keys(twin.configurations).length === 0 ? {} : { configurations: twin.configurations }),
    capabilities: { iotEdge: identity.iotEdge },
  }
}

/**
 * The identity as a line of an export, which an import takes as it is.
 * @param twin left out: there is nothing of it that an import could write
 */
export function exportedDocument(
  identity: Identity,
  twin: (Pick<TwinPart, 'etag' | 'tags'> & { readonly desired: unknown }) | undefined,
  isWithoutKeys: boolean,
): Readonly<Record<string, unknown>> {
  const { deviceId, moduleId, etag, status, statusReason, deviceScope, parentScope, managedBy } = identity
  const authentication = isWithoutKeys
    ? { ...identity.authentication, primaryKey: undefined, secondaryKey: undefined }
    : identity.authentication
  return {
    id: deviceId,
    moduleId,
    eTag: etag,
    status,
    statusReason,
    authentication: authenticationDocument(authentication),
    capabilities: { iotEdge: identity.iotEdge },
    deviceScope,
    parentScopes: parentScope === undefined ? undefined : [parentScope],
    managedBy,
    ...(twin && { twinETag: twin.etag, tags: twin.tags, properties: { desired: twin.desired } }),
  }
}

function authenticationDocument(authentication: Authentication): unknown {
  return {
    type: authentication.kind,
    symmetricKey: {
      primaryKey: authentication.primaryKey ?? null,
      secondaryKey: authentication.secondaryKey ?? null,
    },
    x509Thumbprint: thumbprints(authentication),
  }
}

function thumbprints({ primaryThumbprint, secondaryThumbprint }: Authentication): unknown {
  return { primaryThumbprint: primaryThumbprint ?? null, secondaryThumbprint: secondaryThumbprint ?? null }
}

function connectionState({ connected }: Identity): string {
  return connected ? 'Connected' : 'Disconnected'
}

function timeText(atMs: number | undefined): string {
  return atMs === undefined ? unsetTime : new Date(atMs).toISOString()
}

/** Reads what a caller wants an identity to be; unknown fields are left aside, as the hub does. @throws REGISTRY_ARGUMENT_INVALID */
export function contentFrom(document: unknown, id: IdentityId): IdentityContent {
  if (!isObject(document)) throw argumentFault('the body must be a JSON object')
  for (const [field, expected] of [
    ['deviceId', id.deviceId],
    ['moduleId', id.moduleId],
  ] as const) {
    const given = document[field]
    if (given !== undefined && given !== null && given !== expected)
      throw argumentFault(`${field} differs from the path`)
  }
  const capabilities = isObject(document.capabilities) ? document.capabilities : {}
  return {
    ...id,
    status: statusFrom(document.status),
    statusReason: optionalText(document, 'statusReason'),
    authentication: authenticationFrom(document.authentication),
    iotEdge: capabilities.iotEdge === true,
    deviceScope: optionalText(document, 'deviceScope'),
    parentScope: id.moduleId === undefined ? parentScopeFrom(document.parentScopes) : undefined,
    managedBy: optionalText(document, 'managedBy'),
  }
}

/** A list of one at most, as the hub has it. */
function parentScopeFrom(value: unknown): string | undefined {
  const scopes: unknown = value ?? []
  if (!Array.isArray(scopes) || scopes.length > 1)
    throw argumentFault('parentScopes must be a list of one text at most')
  return optionalText({ parentScopes: scopes[0] }, 'parentScopes')
}

function statusFrom(value: unknown): IdentityStatus {
  const status = nameFrom(value ?? 'enabled')
  if (status !== 'enabled' && status !== 'disabled') throw argumentFault('status must be enabled or disabled')
  return status
}

/** Of a value whose case is left aside; empty where it is no text. */
function nameFrom(value: unknown): string {
  return typeof value === 'string' ? value.toLowerCase() : ''
}

const kinds: Readonly<Record<string, AuthenticationKind>> = {
  sas: 'sas',
  selfsigned: 'selfSigned',
  certificateauthority: 'certificateAuthority',
  none: 'none',
}

function authenticationFrom(value: unknown): Authentication {
  if (value === undefined || value === null) return generatedKeys
  if (!isObject(value)) throw argumentFault('authentication must be an object')
  const x509 = isObject(value.x509Thumbprint) ? value.x509Thumbprint : {}
  const primaryThumbprint = thumbprint(x509, 'primaryThumbprint')
  const secondaryThumbprint = thumbprint(x509, 'secondaryThumbprint')
  const kind = kindFrom(value.type, primaryThumbprint ?? secondaryThumbprint)
  if (kind !== 'sas') {
    const own = kind === 'selfSigned' ? { primaryThumbprint, secondaryThumbprint } : {}
    return { ...generatedKeys, ...own, kind }
  }
  const keys = isObject(value.symmetricKey) ? value.symmetricKey : {}
  return {
    ...generatedKeys,
    primaryKey: optionalText(keys, 'primaryKey') || undefined,
    secondaryKey: optionalText(keys, 'secondaryKey') || undefined,
  }
}

/** Without a type, thumbprints mean a self-signed certificate, as older clients have it. */
function kindFrom(value: unknown, anyThumbprint: string | undefined): AuthenticationKind {
  if (value === undefined || value === null) return anyThumbprint ? 'selfSigned' : 'sas'
  const name = nameFrom(value)
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
  if (!kind) throw argumentFault('authentication.type must be sas, selfSigned, certificateAuthority or none')
  return kind
}

function thumbprint(x509: JsonObject, field: string): string | undefined {
  const text = optionalText(x509, field)
  if (!text) return undefined
  const plain = thumbprintFrom(text)
  if (!plain) throw argumentFault(`${field} must be 40 or 64 hexadecimal digits`)
  return plain
}

function optionalText(document: JsonObject, field: string): string | undefined {
  const value = document[field]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw argumentFault(`${field} must be a text`)
  return value
}
