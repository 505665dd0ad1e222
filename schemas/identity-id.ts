/** Who a device or module is, and what an id may be made of. */
import { PenstockError } from './errors.ts'
import { limits } from './limits.ts'

export interface IdentityId {
  readonly deviceId: string
  /** `undefined`: the device itself. */
  readonly moduleId: string | undefined
}

const idPattern = /^[A-Za-z0-9\-.+%_#*?!(),:=@$']+$/
/** What `isIdentityId` asks for, in words. */
export const idRule = `1 to ${limits.deviceIdBytesMax} letters, digits or - . + % _ # * ? ! ( ) , : = @ $ '`

/** True for 1 to 128 of the characters that the hub allows in device and module ids. */
export function isIdentityId(text: string): boolean {
  return text.length <= limits.deviceIdBytesMax && idPattern.test(text)
}

/** `device` or `device/module`: ids hold no slash, so the text is unambiguous. For logs and maps. */
export function identityText({ deviceId, moduleId }: IdentityId): string {
  return moduleId === undefined ? deviceId : `${deviceId}/${moduleId}`
}

/** The other way round. */
export function identityFromText(text: string): IdentityId {
  const slash = text.indexOf('/')
  if (slash < 0) return { deviceId: text, moduleId: undefined }
  return { deviceId: text.slice(0, slash), moduleId: text.slice(slash + 1) }
}

/**
 * Negative where `one` comes before `other` in stores: by device, then by module; ids are ASCII. It is not the order of their texts, whose slash
 * comes behind some characters of ids.
 */
export function compareIds(one: IdentityId, other: IdentityId): number {
  if (one.deviceId !== other.deviceId) return one.deviceId < other.deviceId ? -1 : 1
  const [mine, its] = [one.moduleId ?? '', other.moduleId ?? '']
  return mine === its ? 0 : mine < its ? -1 : 1
}

/** @throws PenstockError REGISTRY_ID_INVALID */
export function checkIdentityId({ deviceId, moduleId }: IdentityId): void {
  if (!isIdentityId(deviceId)) throw idFault('device id', deviceId)
  if (moduleId !== undefined && !isIdentityId(moduleId)) throw idFault('module id', moduleId)
}

function idFault(what: string, id: string): PenstockError {
  const shown = JSON.stringify(id.length > limits.deviceIdBytesMax ? `${id.slice(0, limits.deviceIdBytesMax)}…` : id)
  return new PenstockError('REGISTRY_ID_INVALID', `${what} ${shown} must be ${idRule}`)
}
