/** What stands in a twin at a path: of many twins only this is kept. Names in paths have no case. */
import { absent, arrayValue, type BodyValue, objectValue } from '#pipeline/routing/condition/facts.ts'
import { twinNodeAt } from '#pipeline/routing/condition/message-facts.ts'
import type { Path } from '#pipeline/routing/condition/needs.ts'

/** Undefined: nothing is there. */
export type TwinValue = undefined | null | boolean | number | string | NestedValue

/** An object or a list, of which conditions only ask whether it is one. */
class NestedValue {
  readonly isList: boolean
  readonly text: string

  constructor(node: object) {
    this.isList = Array.isArray(node)
    this.text = JSON.stringify(node)
  }
}

/** @param twin `{"tags":{…},"properties":{"desired":{…},"reported":{…}}}`; undefined: the sender has none */
export function twinValueAt(twin: unknown, path: Path): TwinValue {
  const node = twinNodeAt(twin, path)
  if (typeof node === 'object' && node !== null) return new NestedValue(node)
  return typeof node === 'string' || typeof node === 'number' || typeof node === 'boolean' || node === null
    ? node
    : undefined
}

/** As conditions have it. */
export function bodyValueOf(value: TwinValue): BodyValue {
  if (value === undefined) return absent
  if (value instanceof NestedValue) return value.isList ? arrayValue : objectValue
  return value
}

/** As messages are stamped with it; undefined of what is not there. */
export function textOf(value: TwinValue): string | undefined {
  if (value instanceof NestedValue) return value.text
  return value === undefined ? undefined : String(value)
}

/** About what it takes in memory. */
export function bytesOf(value: TwinValue): number {
  const text = value instanceof NestedValue ? value.text : typeof value === 'string' ? value : ''
  return 16 + 2 * text.length
}

/** Whether a change, as it is told, may have changed what stands at the path. */
export function isChangedAt(body: unknown, path: Path): boolean {
  let node = body
  for (const step of path) {
    // Something else took the place of what the path leads through.
    if (typeof node !== 'object' || node === null || Array.isArray(node)) return true
    node = twinNodeAt(node, [step])
    if (node === undefined) return false
  }
  return true
}
