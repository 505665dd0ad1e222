/** Patches and sections as callers write them: read, and held to what the hub allows in a twin. */
import { isStorableText } from '#control/identities/identity.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { faultOfJson, type JsonBounds } from './scan-json.ts'
import { isObject, type Json, type JsonObject } from './section.ts'

/** A patch of one section: its objects, and a list in the innermost. */
const patchBounds: JsonBounds = {
  bytesMax: limits.twinPatchBytesMax,
  depthMax: limits.twinDepthMax + 2,
  entriesMax: limits.twinEntriesMax,
}

/** Of one section; what it says is data, `__proto__` too. @throws PenstockError TWIN_INVALID */
export function patchFrom(bytes: Uint8Array): JsonObject {
  const fault = faultOfJson(bytes, patchBounds)
  if (fault !== undefined) throw twinFault(`the patch ${fault}`)
  let patch: Json
  try {
    patch = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  } catch {
    throw twinFault('the patch is not JSON')
  }
  return sectionFrom(patch, 'the patch')
}

/**
 * What the hub's clients send back of what they read is left out: `$metadata` and `$version` at the top of a section.
 * @param what of which the fault says that it is wrong
 * @throws PenstockError TWIN_INVALID
 */
export function sectionFrom(value: Json | undefined, what: string): JsonObject {
  if (!isObject(value)) throw twinFault(`${what} must be a JSON object`)
  const { $metadata, $version, ...section } = value
  checkObject(section, what, 0)
  return section
}

/** @throws PenstockError TWIN_INVALID where the section as a whole is too large */
export function checkSize(text: string, bytesMax: number, what: string): void {
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesMax) throw twinFault(`${what} would have ${bytes} bytes; at most ${bytesMax} are allowed`)
}

export function twinFault(message: string): PenstockError {
  return new PenstockError('TWIN_INVALID', message)
}

function checkObject(object: JsonObject, what: string, depth: number): void {
  if (depth > limits.twinDepthMax) throw twinFault(`${what} nests deeper than ${limits.twinDepthMax}`)
  for (const [key, value] of Object.entries(object)) {
    checkKey(key, what)
    checkValue(value, what, depth)
  }
}

function checkValue(value: Json, what: string, depth: number): void {
  if (typeof value === 'string') checkText(value, what)
  else if (typeof value === 'number') {
    if (!(Math.abs(value) <= limits.twinNumberMax))
      throw twinFault(`${what} holds a number beyond ±${limits.twinNumberMax}`)
  } else if (isObject(value)) checkObject(value, what, depth + 1)
  else if (typeof value === 'object' && value !== null) {
    if (depth > limits.twinDepthMax) throw twinFault(`${what} nests deeper than ${limits.twinDepthMax}`)
    for (const item of value) checkValue(item, what, depth + 1)
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const forbiddenInKeys = /[\u0000-\u001f\u007f-\u009f.$ ]/

/** Of which nothing needs a closer look. */
const plainKey = /^[\w-]{1,256}$/

function checkKey(key: string, what: string): void {
  if (plainKey.test(key)) return
  if (key === '') throw twinFault(`${what} has an empty key`)
  if (forbiddenInKeys.test(key)) throw twinFault(`${what} has a key with a control character, a space, . or $`)
  if (Buffer.byteLength(key) > limits.twinKeyBytesMax)
    throw twinFault(`${what} has a key of more than ${limits.twinKeyBytesMax} bytes`)
  checkStorable(key, what)
}

function checkText(text: string, what: string): void {
  if (text.length > limits.twinTextBytesMax / 4 && Buffer.byteLength(text) > limits.twinTextBytesMax)
    throw twinFault(`${what} has a text of more than ${limits.twinTextBytesMax} bytes`)
  checkStorable(text, what)
}

const rarelyStorable = /[\0\ud800-\udfff]/

function checkStorable(text: string, what: string): void {
  if (rarelyStorable.test(text) && !isStorableText(text)) throw twinFault(`${what} has a text that cannot be stored`)
}
