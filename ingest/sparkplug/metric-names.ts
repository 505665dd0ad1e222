import type { NameHolder, NameRoom } from '#ingest/session/name-room.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import type { Metric } from './payload-shape.ts'
import type { SparkplugTopic } from './sparkplug-topic.ts'

/** What a birth says of a metric. */
export interface BornMetric {
  readonly name: string
  readonly datatype: number | undefined
}

/** Beside its texts: an entry of a map, and what it is of. */
const entryBytes = 200

interface Node {
  /** By alias, which is unique in a node, and by device and name. */
  readonly born: Map<string, BornMetric>
  bytes: number
}

/**
 * Metrics by alias, as births of this connection gave them: a node says its births anew whenever it connects. A birth of a node begins
 * anew for its devices too. What has no room is not remembered [G-4], nor a longer name than others may be: a few bytes of data would
 * become as many as it has. Data then come with their alias alone. So do those of a node that was forgotten for others.
 */
export class MetricNames implements NameHolder {
  readonly #room: NameRoom
  readonly #onRefused: () => void
  readonly #nodes = new Map<string, Node>()
  /** The birth at hand found no room for a name: none is sought for its others. */
  #isRefused = false

  /** @param onRefused hears of each birth whose names are not all remembered, for want of room */
  constructor(room: NameRoom, onRefused: () => void = () => {}) {
    this.#room = room
    this.#onRefused = onRefused
  }

  /** What it holds of the room. */
  get bytes(): number {
    return this.#room.heldBy(this)
  }

  birth({ group, type, node, device }: SparkplugTopic, metrics: readonly Metric[]): void {
    const key = `${group}/${node}`
    if (type === 'NBIRTH') this.#forget(key)
    this.#isRefused = false
    const known = this.#nodes.get(key) ?? this.#begin(key)
    if (known !== undefined) this.#rememberAll(known, device, metrics)
    if (this.#isRefused) this.#onRefused()
  }

  #rememberAll(known: Node, device: string | undefined, metrics: readonly Metric[]): void {
    for (const { name, alias, datatype } of metrics) {
      if (name === undefined || name === '') continue
      const born = { name, datatype }
      this.#remember(known, nameKey(device, name), born)
      if (alias !== undefined) this.#remember(known, alias, born)
    }
  }

  death({ group, type, node }: SparkplugTopic): void {
    if (type === 'NDEATH') this.#forget(`${group}/${node}`)
  }

  /** What the birth of this metric said; `undefined`: there was none here. */
  of({ group, node, device }: SparkplugTopic, { name, alias }: Metric): BornMetric | undefined {
    const born = this.#nodes.get(`${group}/${node}`)?.born
    if (born === undefined) return undefined
    return name === undefined || name === '' ? born.get(alias ?? '') : born.get(nameKey(device, name))
  }

  /** Of the node that was born first. A name alone would not do: its alias must not be left behind. */
  forgetSome(): void {
    for (const key of this.#nodes.keys()) {
      this.#forget(key)
      return
    }
  }

  /** The connection has ended. */
  close(): void {
    for (const key of [...this.#nodes.keys()]) this.#forget(key)
    assert(this.bytes === 0, `a connection that has ended remembers nothing, and not ${this.bytes} bytes of names`)
  }

  /** `undefined`: there is no room. */
  #begin(key: string): Node | undefined {
    const node: Node = { born: new Map(), bytes: 0 }
    if (!this.#hold(node, entryBytes + 2 * key.length)) return undefined
    this.#nodes.set(key, node)
    return node
  }

  /** What is not remembered is not known any more: an alias must not stand for the name of an earlier birth. */
  #remember(node: Node, key: string, born: BornMetric): void {
    const before = node.born.get(key)
    if (before !== undefined) this.#hold(node, -bytesOf(key, before))
    if (born.name.length <= limits.pointNameLengthMax && this.#hold(node, bytesOf(key, born))) node.born.set(key, born)
    else node.born.delete(key)
  }

  /** @param bytes below 0: they are given back @returns whether there was room */
  #hold(node: Node, bytes: number): boolean {
    if (bytes < 0) this.#room.give(this, -bytes)
    else if (this.#isRefused || !this.#room.take(this, bytes)) {
      this.#isRefused = true
      return false
    }
    node.bytes += bytes
    assert(node.bytes >= 0, 'no more is given back of a node than it holds: it would be that of others [G-4]')
    return true
  }

  #forget(key: string): void {
    const { bytes } = this.#nodes.get(key) ?? { bytes: 0 }
    this.#nodes.delete(key)
    this.#room.give(this, bytes)
  }
}

function bytesOf(key: string, { name }: BornMetric): number {
  return entryBytes + 2 * (key.length + name.length)
}

/** No alias holds a slash. */
function nameKey(device: string | undefined, name: string): string {
  return `${device ?? ''}/${name}`
}
