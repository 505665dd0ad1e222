/** One endpoint of a simulation, of one generation, with what it got and what it must have got. */
import type { MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import type { EndpointDocument } from '#schemas/routing/routing.ts'
import type { RoutedMessage, RoutedMessages } from './routed-messages-fixture.ts'
import { keyOf } from './simulated-batch.ts'
import type { Arrival, SimulatedEndpoint } from './simulated-endpoint.ts'
import type { SimulatedWarehouse } from './simulated-warehouse.ts'

export type SimulatedServer = SimulatedEndpoint | SimulatedWarehouse

/** Offsets of a partition from `from` (inclusive) to `to` (exclusive). */
interface ExpiredRange {
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly hasBegun: boolean
}

export class CheckedEndpoint {
  readonly document: EndpointDocument
  readonly group: string
  readonly server: SimulatedServer
  /** What retention removed before it was delivered. */
  readonly #expired: ExpiredRange[] = []
  /** Of messages that it must have got, had they not expired after it began. */
  expiredCount = 0

  constructor(document: EndpointDocument, group: string, server: SimulatedServer) {
    this.document = document
    this.group = group
    this.server = server
  }

  /** Notes what the log has removed and the endpoint has not passed. */
  expire(store: MemoryStore): void {
    for (const [partition, { first }] of store.partitions.entries()) {
      const position = store.positions.get(`${this.group} ${partition}`)
      const from = position?.offset ?? 0
      if (from < first) this.#expired.push({ partition, from, to: first, hasBegun: position !== undefined })
    }
  }

  /** Whether a message may be a letter of it; a table may refuse one as it commits, though nothing is wrong with it. */
  refuses(messages: RoutedMessages, key: string): boolean {
    const { server } = this
    return messages.poisonOf(this.document.name).has(key) || (server.atomic && server.refusedAtCommit.has(key))
  }

  /**
   * @param letters keys of messages that became letters under its name
   * @param isInForce false: it was removed, so it lacks what came later
   */
  check(messages: RoutedMessages, letters: ReadonlySet<string>, isInForce: boolean): string[] {
    const { whenBehind } = this.document
    const faults: string[] = []
    const say = (text: string) => faults.push(`${this.group}: ${text}`)
    const counts = this.#counts()
    for (const message of messages.all) {
      const { key } = message
      const verdict = messages.verdict(this.document, message)
      const count = counts.get(key) ?? 0
      if (count > 0 && verdict === 'never') say(`message ${key} was never selected`)
      if (this.server.atomic && count > 1) say(`message ${key} is stored ${count} times`)
      const isThere = count > 0 || (letters.has(key) && this.refuses(messages, key))
      if (!isInForce || verdict !== 'must' || isThere) continue
      const expired = whenBehind === 'expire' ? this.#expiredRangesOf(message) : []
      if (expired.length === 0) say(`message ${key} at ${message.partition}/${message.offset} is lost`)
      // What the log had removed when the endpoint began, it never promised.
      else if (expired.every(({ hasBegun }) => hasBegun)) this.expiredCount++
    }
    if (!this.server.atomic) faults.push(...this.#faultsOfRequests(this.server.arrivals, messages))
    return faults
  }

  #counts(): Map<string, number> {
    const keys = this.server.atomic
      ? this.server.ranges.flatMap((range) => range.messages.map(keyOf))
      : this.server.arrivals.map(bodyOf)
    const counts = new Map<string, number>()
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
    return counts
  }

  #expiredRangesOf({ partition, offset }: RoutedMessage): readonly ExpiredRange[] {
    return this.#expired.filter((each) => each.partition === partition && offset >= each.from && offset < each.to)
  }

  /** What comes again has the same bytes; what every revision selects arrives for the first time in order. */
  #faultsOfRequests(arrivals: readonly Arrival[], messages: RoutedMessages): string[] {
    const { name } = this.document
    const faults: string[] = []
    const byKey = new Map(messages.all.map((message) => [message.key, message]))
    const bytesByPlace = new Map<string, string>()
    const seen = new Set<string>()
    const newest = new Map<number, number>()
    for (const arrival of arrivals) {
      const { requestId, message } = arrival
      const bytes = Buffer.from(message.bytes).toString('latin1')
      const place = `${requestId} ${message.id}`
      if ((bytesByPlace.get(place) ?? bytes) !== bytes) faults.push(`request ${requestId} came with other bytes`)
      bytesByPlace.set(place, bytes)
      const known = byKey.get(bodyOf(arrival))
      if (!known || seen.has(message.id) || known.poison.has(name)) continue
      if (messages.verdict(this.document, known) !== 'must') continue
      seen.add(message.id)
      const order = known.offset * 1_000 + known.index
      if (order < (newest.get(known.partition) ?? -1)) faults.push(`message ${message.id} arrives too late`)
      newest.set(known.partition, order)
    }
    return faults
  }
}

function bodyOf({ message }: Arrival): string {
  return Buffer.from(message.body).toString()
}
