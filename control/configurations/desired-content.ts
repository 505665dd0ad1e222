/** What configurations say of desired properties, as they are written and as twins are patched. Every key is data, `__proto__` too. */
import { isObject } from '#control/rest/json-body.ts'
import { twinPatchFrom } from '#control/twins/twin-document.ts'
import type { TwinPatch } from '#control/twins/twins.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { DesiredContent } from './configurations.ts'

const root = 'properties.desired'

/**
 * Reads `{"properties.desired.a.b":1,"properties.desired.c":{…}}`.
 * @param what of which a fault says that it is wrong
 * @throws CONFIGURATION_INVALID, TWIN_INVALID
 */
export function desiredFrom(content: unknown, what: string): DesiredContent {
  if (!isObject(content)) throw configurationFault(`${what} must be a JSON object`)
  let desired: DesiredContent = {}
  for (const [path, value] of Object.entries(content)) {
    if (path !== root && !path.startsWith(`${root}.`))
      throw configurationFault(`${what} has paths of ${root} and nothing else, not ${path.slice(0, 100)}`)
    if (path === root && !isObject(value)) throw configurationFault(`${path} of ${what} must be a JSON object`)
    const keys = path === root ? [] : path.slice(root.length + 1).split('.')
    desired = joined(desired, nested(keys, value), `${what} says of ${path} more than one thing`)
  }
  twinPatchFrom({ properties: { desired } })
  return desired
}

/** Takes away what `from` set and `to` does not, and sets all that `to` says. */
export function patchBetween(from: DesiredContent | undefined, to: DesiredContent | undefined): TwinPatch {
  return twinPatchFrom({ properties: { desired: withoutOld(from ?? {}, to ?? {}) } })
}

export function configurationFault(message: string): PenstockError {
  return new PenstockError('CONFIGURATION_INVALID', message)
}

function withoutOld(from: DesiredContent, to: DesiredContent): DesiredContent {
  const removed = Object.entries(from).flatMap(([key, value]): [string, unknown][] => {
    const wanted = Object.hasOwn(to, key) ? to[key] : undefined
    if (isObject(value) && (wanted === undefined || isObject(wanted))) return [[key, withoutOld(value, wanted ?? {})]]
    return wanted === undefined ? [[key, null]] : []
  })
  return Object.fromEntries([...Object.entries(to), ...removed])
}

function nested(keys: readonly string[], value: unknown): DesiredContent {
  const whole = keys.toReversed().reduce<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value)
  return isObject(whole) ? whole : {}
}

/** @throws CONFIGURATION_INVALID where both have a value at one place */
function joined(one: DesiredContent, other: DesiredContent, fault: string): DesiredContent {
  const entries = new Map(Object.entries(one))
  for (const [key, value] of Object.entries(other)) {
    const before = entries.get(key)
    if (before !== undefined && !(isObject(before) && isObject(value))) throw configurationFault(fault)
    entries.set(key, isObject(before) && isObject(value) ? joined(before, value, fault) : value)
  }
  return Object.fromEntries(entries)
}
