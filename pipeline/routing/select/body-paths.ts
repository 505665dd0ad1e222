/**
 * The paths that conditions ask for, as one tree: a body is read once for all of them.
 *
 *   $body.engine.rpm, $body.engine, $body.cells[2].volts
 *
 *   root ─ engine (slot 1) ─ rpm (slot 0)
 *        └ cells ─ [2] ─ volts (slot 2)
 */
import type { Path, PathStep } from '#pipeline/routing/condition/needs.ts'

export class PathNode {
  /** Index of the path that ends here; -1 if none does. */
  slot = -1
  /** Of every path that ends here or below. */
  readonly slots: number[] = []
  /** Number of the document in which it was last met. */
  document = 0
  hasMembers = false
  hasElements = false
  readonly #name: Uint8Array
  readonly #members = new Map<string, PathNode>()
  /** Members by the length of their names in bytes. */
  readonly #membersByLength: PathNode[][] = []
  readonly #elements = new Map<number, PathNode>()

  constructor(name: Uint8Array = new Uint8Array(0)) {
    this.#name = name
  }

  /** The member whose name stands there as it is, without escapes. HOT: per name in an object that a path leads through. */
  member(bytes: Uint8Array, start: number, end: number): PathNode | undefined {
    const length = end - start
    if (length >= this.#membersByLength.length) return undefined
    for (const node of this.#membersByLength[length] as PathNode[]) {
      if (node.#isNamed(bytes, start)) return node
    }
    return undefined
  }

  memberNamed(name: string): PathNode | undefined {
    return this.#members.get(name)
  }

  element(index: number): PathNode | undefined {
    return this.#elements.get(index)
  }

  #isNamed(bytes: Uint8Array, start: number): boolean {
    const name = this.#name
    for (let index = 0; index < name.length; index++) {
      if (bytes[start + index] !== name[index]) return false
    }
    return true
  }

  /** The node below, which is made where there is none. */
  grow(step: PathStep): PathNode {
    return typeof step === 'number' ? this.#growElement(step) : this.#growMember(step)
  }

  #growElement(index: number): PathNode {
    const known = this.#elements.get(index)
    if (known) return known
    const node = new PathNode()
    this.#elements.set(index, node)
    this.hasElements = true
    return node
  }

  #growMember(name: string): PathNode {
    const known = this.#members.get(name)
    if (known) return known
    const bytes = Buffer.from(name)
    const node = new PathNode(bytes)
    this.#members.set(name, node)
    this.hasMembers = true
    // A surrogate without its other half has no bytes in UTF-8: only an escape can spell that name.
    if (bytes.toString() === name) {
      while (this.#membersByLength.length <= bytes.length) this.#membersByLength.push([])
      this.#membersByLength[bytes.length]?.push(node)
    }
    return node
  }
}

/** The root of the tree. A slot is the index of a path in `paths`. */
export function treeOfPaths(paths: readonly Path[]): PathNode {
  const root = new PathNode()
  for (const [slot, path] of paths.entries()) {
    let node = root
    for (const step of path) {
      node = node.grow(step)
      node.slots.push(slot)
    }
    node.slot = slot
  }
  return root
}
