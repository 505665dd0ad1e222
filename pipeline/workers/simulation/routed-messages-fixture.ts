/** All messages of a simulated log, and which revisions may have decided where each goes. */
import type { MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { type EndpointDocument, endpointGroup } from '#schemas/routing/routing.ts'
import type { SimulatedRevision } from './simulated-documents.ts'

export interface RoutedMessage {
  readonly key: string
  readonly partition: number
  readonly offset: number
  readonly index: number
  readonly enqueuedAtMs: number
  readonly class: number
  /** Names of endpoints that refuse it. */
  readonly poison: ReadonlySet<string>
}

/** A revision at one process, from the moment it was put in force there. */
export interface DecidingInterval {
  /** Another one is in force there, or the process is killed. */
  end(): void
}

interface Interval {
  readonly decided: SimulatedRevision
  /** By group and partition, what was passed for good before. */
  readonly passed: ReadonlyMap<string, number>
  /** By partition, where the log began: what was removed before is nobody's who has no position. */
  readonly firsts: readonly number[]
  /** By partition, where the log ended when it ended. */
  ends: readonly number[] | undefined
}

/** What an endpoint gets of a message: it must, it must not, or either is right since routes changed meanwhile. */
export type Verdict = 'must' | 'may' | 'never'

export class RoutedMessages {
  readonly all: RoutedMessage[] = []
  readonly #store: MemoryStore
  readonly #topicPrefix: string
  readonly #intervals: Interval[] = []
  readonly #poison = new Map<string, Set<string>>()

  constructor(store: MemoryStore, topicPrefix: string) {
    this.#store = store
    this.#topicPrefix = topicPrefix
  }

  add(
    partition: number,
    offset: number,
    enqueuedAtMs: number,
    messages: readonly Pick<RoutedMessage, 'key' | 'index' | 'class' | 'poison'>[],
  ): void {
    for (const message of messages) {
      this.all.push({ ...message, partition, offset, enqueuedAtMs })
      for (const name of message.poison) this.poisonOf(name).add(message.key)
    }
  }

  /** Keys that an endpoint of this name refuses; grows. */
  poisonOf(name: string): Set<string> {
    const known = this.#poison.get(name) ?? new Set()
    this.#poison.set(name, known)
    return known
  }

  decides(decided: SimulatedRevision): DecidingInterval {
    const passed = new Map([...this.#store.positions].map(([place, { offset }]) => [place, offset]))
    const firsts = this.#store.partitions.map(({ first }) => first)
    const interval: Interval = { decided, passed, firsts, ends: undefined }
    this.#intervals.push(interval)
    return {
      end: () => {
        interval.ends ??= this.#store.partitions.map(({ first, records }) => first + records.length)
      },
    }
  }

  verdict(endpoint: EndpointDocument, message: RoutedMessage): Verdict {
    const { partition, offset, enqueuedAtMs } = message
    if (enqueuedAtMs < endpoint.startsAtMs) return 'never'
    const place = `${endpointGroup(this.#topicPrefix, endpoint)} ${partition}`
    const deciding = this.#intervals.filter(
      ({ decided: { document }, passed, firsts, ends }) =>
        document.endpoints.some(
          ({ name, generation }) => name === endpoint.name && generation === endpoint.generation,
        ) &&
        offset >= (passed.get(place) ?? firsts[partition] ?? 0) &&
        offset < (ends?.[partition] ?? Number.POSITIVE_INFINITY),
    )
    const selecting = deciding.filter(({ decided }) => decided.classes.get(endpoint.name)?.has(message.class))
    if (selecting.length === 0) return 'never'
    return selecting.length === deciding.length ? 'must' : 'may'
  }
}
