/**
 * JSON Patch (RFC 6902) of a digital twin, as the hub takes it: `add`, `replace` and `remove` of a component, or of a property of the root or
 * of a component. What it does to desired properties is told as a merge patch, which names nothing that was not written.
 *
 * As the norm has it, a patch that does not fit is refused as a whole. What is added to a component, and what is replaced, must be in the twin
 * (sections 4.1, 4.3): desired, or told of by the device. What is removed must be desired (section 4.2): what a device tells it alone takes back.
 *
 *   [{"op":"add","path":"/thermostat1/target","value":21}]                      ─▶  {"thermostat1":{"__t":"c","target":21}}
 *   [{"op":"replace","path":"/thermostat1","value":{"low":1,"$metadata":{}}}]   ─▶  {"thermostat1":{"__t":"c","low":1,"target":null}}
 *   [{"op":"remove","path":"/thermostat1/low"}]                                 ─▶  {"thermostat1":null}, where it was the last one
 */
import { isObject, type JsonObject } from '#control/rest/json-body.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { componentMark, isComponent, type TwinSections, valueIn } from './digital-twin-document.ts'

interface Operation {
  readonly kind: 'add' | 'replace' | 'remove'
  /** Of a component or of a property of the root. */
  readonly name: string
  /** Of a component. */
  readonly property: string | undefined
  readonly value: unknown
}

const written = { add: 'added', replace: 'replaced', remove: 'removed' } as const

/** The mark alone. */
const componentSizeMin = Object.keys(componentMark).length

/** Names of components, properties and fields, as DTDL has them. */
const nameRule = /^[a-zA-Z](\w{0,62}[a-zA-Z0-9])?$/

/** @throws TWIN_INVALID */
export function desiredPatchFrom(document: unknown, twin: TwinSections): JsonObject {
  if (!Array.isArray(document) || document.length === 0 || document.length > limits.twinEntriesMax)
    throw fault(`the body must be a JSON Patch: a list of 1 to ${limits.twinEntriesMax} operations`)
  const changes = new Changes(twin)
  for (const operation of document.map(operationFrom)) changes.add(operation)
  return changes.patch()
}

class Changes {
  readonly #twin: TwinSections
  /** What was written so far; `undefined`: removed. A component is a map, into which many operations may write. */
  readonly #after = new Map<string, unknown>()
  /** The properties of a component that were written; `undefined`: all of it was. */
  readonly #written = new Map<string, Set<string> | undefined>()
  /** Components whose last property was removed: they end with that, unless another one is added. */
  readonly #emptied = new Set<string>()

  constructor(twin: TwinSections) {
    this.#twin = twin
  }

  add(operation: Operation): void {
    if (operation.property === undefined) this.#addWhole(operation)
    else this.#addProperty(operation, operation.property)
  }

  patch(): JsonObject {
    return Object.fromEntries([...this.#written].map(([name, written]) => [name, this.#patchOf(name, written)]))
  }

  #addWhole({ kind, name, value }: Operation): void {
    if (kind === 'remove' && this.#now(name) === undefined) throw notThere(kind, name)
    if (kind === 'replace' && !this.#isThere(name)) throw notThere(kind, name)
    if (kind !== 'remove' && isMarked(value) && this.#isProperty(name))
      throw fault(`${name} is a property and no component: its value must have no $metadata`)
    if (kind !== 'remove' && !isMarked(value) && this.#isComponent(name))
      throw fault(`${name} is a component: its value must be an object with "$metadata": {}`)
    this.#after.set(name, isMarked(value) ? componentFrom(unmarked(value)) : value)
    this.#written.set(name, undefined)
    this.#emptied.delete(name)
  }

  #addProperty({ kind, name, value }: Operation, property: string): void {
    if (this.#isProperty(name)) throw fault(`${name} is a property and no component: it is written as a whole`)
    if (!this.#isThere(name)) throw notThere(kind, name, property)
    const now = this.#now(name)
    const component = now instanceof Map ? now : componentFrom(isObject(now) ? now : {})
    const isDesired = component.has(property)
    if (kind === 'remove' && !isDesired) throw notThere(kind, name, property)
    if (kind === 'replace' && !isDesired && valueIn(valueIn(this.#twin.reported, name), property) === undefined)
      throw notThere(kind, name, property)
    if (kind === 'remove') component.delete(property)
    else component.set(property, value)
    if (component.size === componentSizeMin) this.#emptied.add(name)
    else this.#emptied.delete(name)
    this.#after.set(name, component)
    if (!this.#written.has(name)) this.#written.set(name, new Set())
    this.#written.get(name)?.add(property)
  }

  #patchOf(name: string, written: Set<string> | undefined): unknown {
    const before = valueIn(this.#twin.desired, name)
    const now = this.#emptied.has(name) ? undefined : this.#after.get(name)
    const after: unknown = now instanceof Map ? Object.fromEntries(now) : now
    if (written === undefined || after === undefined) return mergePatch(before, after)
    const properties = [...written].map((key) => [key, mergePatch(valueIn(before, key), valueIn(after, key))])
    return { ...(isComponent(before) ? {} : componentMark), ...Object.fromEntries(properties) }
  }

  #now(name: string): unknown {
    return this.#after.has(name) ? this.#after.get(name) : valueIn(this.#twin.desired, name)
  }

  #isComponent(name: string): boolean {
    const now = this.#now(name)
    return now instanceof Map || isComponent(now) || isComponent(valueIn(this.#twin.reported, name))
  }

  #isProperty(name: string): boolean {
    return this.#isThere(name) && !this.#isComponent(name)
  }

  #isThere(name: string): boolean {
    return this.#now(name) !== undefined || valueIn(this.#twin.reported, name) !== undefined
  }
}

function operationFrom(document: unknown): Operation {
  const kind = valueIn(document, 'op')
  const path = valueIn(document, 'path')
  const value = valueIn(document, 'value')
  if (kind !== 'add' && kind !== 'replace' && kind !== 'remove') throw fault('op must be add, replace or remove')
  const [root, name, property, ...deeper] = typeof path === 'string' ? path.split('/') : []
  const names = property === undefined ? [name] : [name, property]
  if (root !== '' || name === undefined || deeper.length > 0 || !names.every(isName))
    throw fault('path must be /component, /property or /component/property, of names as DTDL has them')
  if (kind !== 'remove' && (value === undefined || holdsNull(value)))
    throw fault(`${kind} needs a value without null: what is to go is removed`)
  if (property !== undefined && isMarked(value)) throw fault('a component has no components: only the root does')
  return { kind, name, property, value: kind === 'remove' ? undefined : value }
}

function notThere(kind: Operation['kind'], ...names: readonly string[]): PenstockError {
  const what =
    kind === 'add' ? 'the component is not there: it is added as a whole first' : `there is nothing to ${kind}`
  return fault(`/${names.join('/')} cannot be ${written[kind]}: ${what}`)
}

function isName(text: string | undefined): boolean {
  return text !== undefined && nameRule.test(text)
}

/** As clients say that it is a component. */
function isMarked(value: unknown): value is JsonObject {
  return valueIn(value, '$metadata') !== undefined
}

function unmarked({ $metadata, ...properties }: JsonObject): JsonObject {
  if (!isObject($metadata) || Object.keys($metadata).length > 0)
    throw fault('$metadata of a component must be an empty object')
  return properties
}

function componentFrom(properties: JsonObject): Map<string, unknown> {
  return new Map(Object.entries({ ...properties, ...componentMark }))
}

/** In a merge patch it would remove what it stands for. */
function holdsNull(value: unknown): boolean {
  return value === null || (typeof value === 'object' && Object.values(value).some(holdsNull))
}

/** RFC 7396: what makes `after` of `before`, and says all of `after`. */
function mergePatch(before: unknown, after: unknown): unknown {
  if (after === undefined) return null
  if (!isObject(after) || !isObject(before)) return after
  const gone = Object.keys(before).filter((key) => !Object.hasOwn(after, key))
  const kept = Object.entries(after).map(([key, value]) => [key, mergePatch(valueIn(before, key), value)])
  return Object.fromEntries([...gone.map((key) => [key, null]), ...kept])
}

function fault(message: string): PenstockError {
  return new PenstockError('TWIN_INVALID', message)
}
