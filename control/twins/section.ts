/**
 * One section of a twin (tags, desired or reported properties): what it holds, when each key of it changed, and how a patch changes it.
 *
 * A patch is a JSON merge patch (RFC 7396): null removes a key, objects are merged, anything else replaces. Marks are a tree beside the
 * values: `{"":[atMs,version],"fw":{"":[…],"version":[…]}}`, the empty key for an object itself, which changed when anything in it did. A
 * key that was removed may leave a tombstone, `[atMs,version,0]`, also below a value that took an object's place. So whatever changed
 * after a version can be told from the section alone.
 *
 * Only own keys count, and `__proto__` is a key like another: objects are read by `own` and written by `put`.
 */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject

export interface JsonObject {
  readonly [key: string]: Json
}

export type Mark = readonly [atMs: number, version: number] | readonly [atMs: number, version: number, removed: 0]

/** `''` is the object's own. */
export interface MarkTree {
  readonly [key: string]: Mark | MarkTree
}

export interface Section {
  readonly value: JsonObject
  readonly marks: MarkTree
  readonly version: number
  /** What was removed up to this version is not known any more. */
  readonly floor: number
}

/** How many tombstones a section keeps beyond those of its last change, and from when on. */
export interface Remembered {
  readonly countMax: number
  readonly sinceMs: number
}

type Changing<T> = { [key: string]: T }

const nothing: { readonly [key: string]: never } = Object.freeze({})

export const emptyObject: JsonObject = nothing

/** A key of the object itself: what all objects have besides is none of its data. */
export function own<T>(object: { readonly [key: string]: T }, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

/** By an assignment this one name would be the object's prototype. */
export function put<T>(object: Changing<T>, key: string, value: T): void {
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTree(mark: Mark | MarkTree | undefined): mark is MarkTree {
  return mark !== undefined && !Array.isArray(mark)
}

/**
 * The section after a patch, which counts as a change whatever it says.
 * @param remembered left out: no tombstones are kept
 */
export function patched(section: Section, patch: JsonObject, atMs: number, remembered?: Remembered): Section {
  const version = section.version + 1
  const [value, marks] = merged(section.value, section.marks, patch, [atMs, version], remembered !== undefined)
  const after = { value, marks, version, floor: section.floor }
  return remembered === undefined ? after : pruned(after, remembered)
}

/** The section after all of it was replaced. What it held is not remembered: whoever was away needs all of it. */
export function replaced(section: Section, value: JsonObject, atMs: number): Section {
  const version = section.version + 1
  return { ...patched({ ...section, value: emptyObject, marks: nothing }, value, atMs), version, floor: version }
}

function merged(
  value: JsonObject,
  marks: MarkTree,
  patch: JsonObject,
  mark: Mark,
  remembers: boolean,
): [JsonObject, MarkTree] {
  const values: Changing<Json> = { ...value }
  const newMarks: Changing<Mark | MarkTree> = { ...marks, '': mark }
  for (const [key, wanted] of Object.entries(patch)) {
    const before = own(values, key)
    const beforeMarks = own(newMarks, key)
    if (isObject(wanted)) {
      const old = isObject(before) ? before : emptyObject
      const [item, itemMarks] = merged(old, isTree(beforeMarks) ? beforeMarks : nothing, wanted, mark, remembers)
      put(values, key, item)
      put(newMarks, key, itemMarks)
      continue
    }
    if (wanted === null) delete values[key]
    else put(values, key, wanted)
    const after = markAfter(beforeMarks, mark, wanted === null, remembers)
    if (after === undefined) delete newMarks[key]
    else put(newMarks, key, after)
  }
  return [values, newMarks]
}

/** The mark of a key that is removed, or holds no object from now on. */
function markAfter(
  before: Mark | MarkTree | undefined,
  mark: Mark,
  isRemoved: boolean,
  remembers: boolean,
): Mark | MarkTree | undefined {
  if (!remembers) return isRemoved ? undefined : mark
  if (isTree(before)) return buried(before, mark, isRemoved)
  return isRemoved ? tombstone(mark) : mark
}

/** The marks of an object that is gone, with tombstones for all that it held. */
function buried(tree: MarkTree, mark: Mark, isRemoved: boolean): MarkTree {
  const result: Changing<Mark | MarkTree> = {}
  for (const [key, below] of Object.entries(tree)) {
    if (isTree(below)) put(result, key, buried(below, mark, true))
    else put(result, key, below.length === 3 ? below : tombstone(mark))
  }
  result[''] = isRemoved ? tombstone(mark) : mark
  return result
}

function tombstone([atMs, version]: Mark): Mark {
  return [atMs, version, 0]
}

/** Forgets tombstones that are too many or too old, oldest first; never those of the last change, which is told exactly. */
function pruned(section: Section, { countMax, sinceMs }: Remembered): Section {
  const { marks, version } = section
  const found: Mark[] = []
  collectTombstones(marks, version, found)
  found.sort((one, other) => one[1] - other[1])
  const tooMany = found[found.length - countMax - 1]?.[1] ?? 0
  const tooOld = found.findLast(([atMs]) => atMs < sinceMs)?.[1] ?? 0
  const floor = Math.max(tooMany, tooOld)
  if (floor === 0) return section
  return { ...section, marks: withoutTombstones(marks, floor), floor: Math.max(section.floor, floor) }
}

function collectTombstones(tree: MarkTree, before: number, found: Mark[]): void {
  for (const mark of Object.values(tree)) {
    if (isTree(mark)) collectTombstones(mark, before, found)
    else if (mark.length === 3 && mark[1] < before) found.push(mark)
  }
}

function withoutTombstones(tree: MarkTree, upTo: number): MarkTree {
  const result: Changing<Mark | MarkTree> = {}
  for (const [key, mark] of Object.entries(tree)) {
    const itself = isTree(mark) ? mark[''] : mark
    if (itself !== undefined && !isTree(itself) && itself.length === 3 && itself[1] <= upTo) continue
    put(result, key, isTree(mark) ? withoutTombstones(mark, upTo) : mark)
  }
  return result
}

/**
 * The patch that brings whoever knows version `since` to this one; all of the section where that cannot be told any more. A key that was
 * removed is null.
 */
export function changesSince({ value, marks, floor }: Section, since: number): JsonObject {
  return since < floor ? value : changesIn(value, marks, since)
}

function changesIn(value: JsonObject, marks: MarkTree, since: number): JsonObject {
  const patch: Changing<Json> = {}
  for (const [key, mark] of Object.entries(marks)) {
    if (key === '' || versionOf(mark) <= since) continue
    const now = own(value, key) ?? null
    put(patch, key, isObject(now) && isTree(mark) ? changesIn(now, mark, since) : now)
  }
  return patch
}

function versionOf(mark: Mark | MarkTree): number {
  const itself = isTree(mark) ? mark[''] : mark
  return itself === undefined || isTree(itself) ? 0 : itself[1]
}

/**
 * `$metadata` as services read it: for each key, when it was changed last.
 * @param createdAtMs of what was never changed
 * @param withVersions also `$lastUpdatedVersion`
 */
export function metadataOf({ value, marks }: Section, createdAtMs: number, withVersions: boolean): JsonObject {
  return metadataIn(value, marks, [createdAtMs, 1], withVersions)
}

/** A patch as services are told of it, with when it came into force and as which version of its section. */
export function stampedPatch(patch: JsonObject, mark: Mark, withVersions: boolean): JsonObject {
  return { ...patch, $metadata: metadataIn(patch, undefined, mark, withVersions), $version: mark[1] }
}

function metadataIn(
  value: JsonObject,
  marks: MarkTree | undefined,
  otherwise: Mark,
  withVersions: boolean,
): JsonObject {
  const ownMark = marks?.['']
  const itself = ownMark === undefined || isTree(ownMark) ? otherwise : ownMark
  const result: Changing<Json> = { ...stampOf(itself, withVersions) }
  for (const [key, item] of Object.entries(value)) {
    const mark = marks && own(marks, key)
    if (isObject(item)) put(result, key, metadataIn(item, isTree(mark) ? mark : undefined, otherwise, withVersions))
    else {
      const leaf = isTree(mark) ? mark[''] : mark
      put(result, key, stampOf(leaf === undefined || isTree(leaf) ? otherwise : leaf, withVersions))
    }
  }
  return result
}

function stampOf([atMs, version]: Mark, withVersions: boolean): JsonObject {
  const $lastUpdated = new Date(atMs).toISOString()
  return withVersions ? { $lastUpdated, $lastUpdatedVersion: version } : { $lastUpdated }
}
