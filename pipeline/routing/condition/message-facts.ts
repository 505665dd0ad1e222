/** Facts of one whole message, the plain way: what is read in place elsewhere is compared with this, and test calls ask it. */
import { bodyEncoding } from './body-encoding.ts'
import { absent, arrayValue, type BodyValue, type Facts, objectValue, type UnreadableReason } from './facts.ts'
import { foldName, type Needs, type Path } from './needs.ts'

export interface RoutedMessage {
  readonly properties: Iterable<readonly [name: string, value: string]>
  /** By their names in conditions: `contentType`, `connectionDeviceId`. */
  readonly systemProperties: Iterable<readonly [name: string, value: string]>
  /** A text is a body that is decoded already. */
  readonly body: Uint8Array | string
  /** Of the device or module that sent it: tags and properties. */
  readonly twin?: unknown
}

/**
 * Answers for the names and paths of `needs`, also those that are entered later. Of two names that differ in case only, the later one
 * counts.
 */
export function factsOf(message: RoutedMessage, needs: Needs): Facts {
  const properties = foldedNames(message.properties)
  const system = foldedNames(message.systemProperties)
  let document: Document | undefined
  const read = (): Document => {
    document ??= documentOf(message.body, system.get('contenttype'), system.get('contentencoding'))
    return document
  }
  return {
    property: (index) => properties.get(needs.properties[index] ?? ''),
    system: (index) => system.get(needs.systemProperties[index] ?? ''),
    body: (index) => {
      const { root, unreadable } = read()
      return unreadable === undefined ? valueAt(root, needs.bodyPaths[index] ?? [], memberOf) : undefined
    },
    twin: (index) => valueAt(message.twin, needs.twinPaths[index] ?? [], memberInAnyCase),
    unreadable: () => read().unreadable,
  }
}

function foldedNames(entries: Iterable<readonly [string, string]>): ReadonlyMap<string, string> {
  return new Map(Array.from(entries, ([name, value]) => [foldName(name), value]))
}

interface Document {
  readonly root?: object
  readonly unreadable?: UnreadableReason
}

function documentOf(
  body: Uint8Array | string,
  contentType: string | undefined,
  contentEncoding: string | undefined,
): Document {
  const encoding = bodyEncoding(contentType, contentEncoding)
  if (encoding === 'content-type' || encoding === 'content-encoding') return { unreadable: encoding }
  if (encoding === 'not-json') return { unreadable: encoding }
  try {
    const text = typeof body === 'string' ? body.replace(/^\uFEFF/, '') : decoded(body, encoding)
    const root: unknown = JSON.parse(text)
    if (typeof root === 'object' && root !== null && !Array.isArray(root)) return { root }
  } catch {
    // Not JSON, or no characters; as a root that is no object.
  }
  return { unreadable: 'not-json' }
}

/** A byte order mark is left out. @throws TypeError or RangeError on what is no character of the encoding */
function decoded(body: Uint8Array, encoding: 'utf-8' | 'utf-16' | 'utf-32'): string {
  if (encoding !== 'utf-32') return new TextDecoder(encoding, { fatal: true }).decode(body)
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  let text = ''
  for (let at = 0; at < body.byteLength; at += 4) {
    const point = view.getUint32(at, true)
    if (point >= 0xd800 && point <= 0xdfff) throw new RangeError('half of a surrogate pair')
    if (at > 0 || point !== 0xfeff) text += String.fromCodePoint(point)
  }
  return text
}

/** What stands in a twin at the path; undefined of what is not there. */
export function twinNodeAt(twin: unknown, path: Path): unknown {
  return nodeAt(twin, path, memberInAnyCase)
}

/** Nothing that JSON can say is undefined. */
function nodeAt(root: unknown, path: Path, member: (holder: object, name: string) => unknown): unknown {
  let value: unknown = root
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined
    if (Array.isArray(value) !== (typeof step === 'number')) return undefined
    value = typeof step === 'number' ? (value as unknown[])[step] : member(value, step)
  }
  return value
}

function valueAt(root: unknown, path: Path, member: (holder: object, name: string) => unknown): BodyValue {
  const value = nodeAt(root, path, member)
  if (value === undefined) return absent
  if (typeof value !== 'object' || value === null) return value as null | boolean | number | string
  return Array.isArray(value) ? arrayValue : objectValue
}

/** Own members only: `constructor` is no name of a body that does not have it. */
function memberOf(holder: object, name: string): unknown {
  return Object.hasOwn(holder, name) ? (holder as Record<string, unknown>)[name] : undefined
}

function memberInAnyCase(holder: object, name: string): unknown {
  return Object.entries(holder).findLast(([key]) => foldName(key) === name)?.[1]
}
