import { jsonFrom } from '#control/rest/json-body.ts'
import { aText, mapOf, optional, recordOf } from '#runtime/json-check.ts'
import { type AckRequest, ackProperty, ackRequests, commandSystemProperties } from '#schemas/commands.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { SentCommand } from './commands.ts'

const applicationPrefix = 'iothub-app-'

/**
 * Reads a command as a request over HTTP has it: properties in headers, the body as it is. Header names have no case, so names of
 * application properties come out in lower case.
 * @throws COMMAND_INVALID
 */
export function commandFromRequest(
  id: IdentityId,
  headers: Iterable<readonly [string, string]>,
  body: Uint8Array,
): SentCommand {
  const given = new Map(headers)
  const systemProperties = new Map<string, string>()
  for (const [key, header] of Object.entries(commandSystemProperties)) {
    const value = given.get(header)
    // Where it goes is said by whom it is for.
    if (value !== undefined && value !== '' && key !== 'to') systemProperties.set(key, value)
  }
  const applicationProperties = new Map<string, string>()
  for (const [name, value] of given)
    if (name.startsWith(applicationPrefix)) applicationProperties.set(name.slice(applicationPrefix.length), value)
  const expiresAtMs = keptExpiry(systemProperties)
  const ack = ackFrom(given.get(ackProperty))
  return { ...id, systemProperties, applicationProperties, body, ack, expiresAtMs }
}

const documentCheck = recordOf<CommandDocument>({
  to: aText,
  ack: optional(aText),
  systemProperties: optional(mapOf(aText)),
  properties: optional(mapOf(aText)),
  body: aText,
})

interface CommandDocument {
  /** As in `addresseeFrom`. */
  readonly to: string
  readonly ack: string | undefined
  /** By key of the property bag: mid, cid, uid, ct, ce, exp. */
  readonly systemProperties: Readonly<Record<string, string>> | undefined
  readonly properties: Readonly<Record<string, string>> | undefined
  /** Base64. */
  readonly body: string
}

/** Reads a command that is JSON. @throws COMMAND_INVALID, REGISTRY_BODY_MALFORMED */
export function commandFromDocument(bytes: Uint8Array): SentCommand {
  const { to, ack, systemProperties: given = {}, properties = {}, body } = documentFrom(bytes)
  const systemProperties = new Map<string, string>()
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(commandSystemProperties, key) || key === 'to')
      throw invalid(`a command has no system property ${key.slice(0, 40)}`)
    if (value !== '') systemProperties.set(key, value)
  }
  const expiresAtMs = keptExpiry(systemProperties)
  const applicationProperties = new Map(Object.entries(properties))
  return {
    ...addresseeFrom(to),
    systemProperties,
    applicationProperties,
    body: bytesFrom(body),
    ack: ackFrom(ack),
    expiresAtMs,
  }
}

function documentFrom(bytes: Uint8Array): CommandDocument {
  try {
    return documentCheck(jsonFrom(bytes))
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw invalid(`the command ${error.message}`)
  }
}

function bytesFrom(base64: string): Buffer {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.toString('base64') !== base64) throw invalid('the body is not base64')
  return bytes
}

/** Until when the command waits, which the device is told too. */
function keptExpiry(systemProperties: Map<string, string>): number | undefined {
  const expiresAtMs = expiryFrom(systemProperties.get('exp'))
  if (expiresAtMs !== undefined) systemProperties.set('exp', new Date(expiresAtMs).toISOString())
  return expiresAtMs
}

/** `/devices/{device}[/modules/{module}]/messages/devicebound`, percent-encoded, in any case. @throws COMMAND_INVALID */
export function addresseeFrom(text: string): IdentityId {
  const [, device = '', module] =
    /^\/?devices\/([^/]+)(?:\/modules\/([^/]+))?\/messages\/devicebound\/?$/i.exec(text) ?? []
  if (device === '') throw invalid('iothub-to must be /devices/{device}/messages/deviceBound')
  try {
    return { deviceId: decodeURIComponent(device), moduleId: module && decodeURIComponent(module) }
  } catch {
    throw invalid('iothub-to is not percent-encoded UTF-8')
  }
}

/** @throws COMMAND_INVALID */
export function ackFrom(text: string | undefined): AckRequest {
  if (text === undefined || text === '') return 'none'
  const ack = ackRequests.find((candidate) => candidate === text.toLowerCase())
  if (ack === undefined) throw invalid(`${ackProperty} must be one of ${ackRequests.join(', ')}`)
  return ack
}

/** ISO 8601, or a date as HTTP writes it. @throws COMMAND_INVALID */
function expiryFrom(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const atMs = Date.parse(text)
  if (Number.isNaN(atMs)) throw invalid('iothub-expiry must be a moment in ISO 8601')
  return atMs
}

function invalid(text: string): PenstockError {
  return new PenstockError('COMMAND_INVALID', text)
}
