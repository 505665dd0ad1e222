/**
 * Documents of routes that change whole: which endpoints there are, of which kind, and which classes of messages each gets. What a document
 * selects is said twice: by routes, which the router reads, and by the classes that they were made from, which the checker reads.
 */
import type { SeededRandom } from '#runtime/seeded-random.ts'
import {
  type EndpointDocument,
  emptyRouting,
  type RouteDocument,
  type RoutingDocument,
} from '#schemas/routing/routing.ts'

/** Messages carry their class as a property. The first is selected for every endpoint that gets anything at all. */
export const classCount = 5
export const classKey = 'c'

const names = ['a', 'b', 'c', 'd', 'e'] as const
const kinds = ['webhook', 'clickhouse', 'postgres'] as const
const allClasses = Array.from({ length: classCount }, (_, index) => index)

export interface SimulatedRevision {
  readonly revision: number
  readonly document: RoutingDocument
  /** By name of the endpoint. */
  readonly classes: ReadonlyMap<string, ReadonlySet<number>>
}

export class SimulatedDocuments {
  readonly names: readonly string[] = names
  readonly #random: SeededRandom
  #endpoints: EndpointDocument[] = []
  #current: SimulatedRevision = { revision: 0, document: emptyRouting, classes: new Map() }

  constructor(random: SeededRandom) {
    this.#random = random
  }

  get current(): SimulatedRevision {
    return this.#current
  }

  /** The next document: other routes always, other endpoints often. */
  change(nowMs: number): void {
    const revision = this.#current.revision + 1
    if (this.#endpoints.length < 2) this.#add(revision, nowMs)
    const [change] = this.#shuffled([
      this.#add,
      this.#remove,
      this.#rename,
      this.#switch,
      this.#set,
      noChange,
      noChange,
    ])
    change?.call(this, revision, nowMs)
    this.#current = this.#routed(revision)
  }

  /** The last one: every endpoint that is there is enabled and gets something. */
  settle(): void {
    this.#endpoints = this.#endpoints.map((endpoint) => ({ ...endpoint, isEnabled: true }))
    this.#current = this.#routed(this.#current.revision + 1, false)
  }

  #add(revision: number, nowMs: number): void {
    const random = this.#random
    const [name] = this.#shuffled(names.filter((each) => !this.#endpoints.some((endpoint) => endpoint.name === each)))
    if (name === undefined) return
    const isNow = random.chance(0.5)
    this.#endpoints.push({
      name,
      kind: kinds[random.below(kinds.length)] ?? 'webhook',
      from: isNow ? 'now' : 'oldest',
      generation: revision,
      startsAtMs: isNow ? nowMs : 0,
      whenBehind: random.chance(0.5) ? 'hold' : 'expire',
      isEnabled: random.chance(0.9),
      settings: { delayMs: random.integer(1, 200) },
    })
  }

  #remove(): void {
    this.#endpoints.splice(this.#random.below(this.#endpoints.length), 1)
  }

  #rename(revision: number, nowMs: number): void {
    this.#add(revision, nowMs)
    this.#remove()
  }

  #switch(): void {
    this.#change((endpoint) => ({ ...endpoint, isEnabled: !endpoint.isEnabled }))
  }

  #set(): void {
    this.#change((endpoint) => ({ ...endpoint, settings: { delayMs: this.#random.integer(1, 200) } }))
  }

  #change(change: (endpoint: EndpointDocument) => EndpointDocument): void {
    const place = this.#random.below(this.#endpoints.length)
    this.#endpoints = this.#endpoints.map((endpoint, index) => (index === place ? change(endpoint) : endpoint))
  }

  #routed(revision: number, mayBeEmpty = true): SimulatedRevision {
    const random = this.#random
    const own = new Map(
      this.#endpoints.map(({ name }) => {
        const isEmpty = mayBeEmpty && random.chance(0.2)
        const some = allClasses.filter((each) => each === 0 || random.chance(0.4))
        return [name, isEmpty ? [] : random.chance(0.1) ? allClasses : some]
      }),
    )
    const routes = this.#shuffled(
      random.chance(0.5)
        ? this.#routesByClass(own)
        : [...own].flatMap(([name, classes]) => this.#routesOf(name, classes)),
    )
    // What no endpoint gets otherwise goes to one of those that get something.
    const [fallback] = random.chance(0.3) ? this.#shuffled([...own.keys()].filter((name) => own.get(name)?.length)) : []
    const taken = new Set([...own.values()].flat())
    const enrichments = this.#endpoints
      .filter(() => random.chance(0.4))
      .map(({ name }) => ({ key: 'revision', value: String(revision), endpointNames: [name] }))
    const named = { name: '$fallback', condition: 'true', isEnabled: true }
    const document = {
      routes,
      fallbackRoute: fallback === undefined ? undefined : { ...named, endpointNames: [fallback] },
      enrichments: enrichments.slice(0, 10),
      endpoints: [...this.#endpoints],
    }
    if (fallback !== undefined)
      own.set(fallback, [...(own.get(fallback) ?? []), ...allClasses.filter((each) => !taken.has(each))])
    const classes = new Map(Array.from(own, ([name, some]) => [name, new Set(some)]))
    return { revision, document, classes }
  }

  /** A route a class, with all endpoints that get it. */
  #routesByClass(own: ReadonlyMap<string, readonly number[]>): RouteDocument[] {
    return allClasses.flatMap((each) => {
      const endpointNames = [...own].filter(([, classes]) => classes.includes(each)).map(([name]) => name)
      return endpointNames.length === 0 ? [] : [routeOf(`class-${each}`, `${classKey} = '${each}'`, endpointNames)]
    })
  }

  #routesOf(name: string, classes: readonly number[]): RouteDocument[] {
    const random = this.#random
    if (classes.length === 0)
      return random.chance(0.5) ? [] : [{ ...routeOf(`${name}-off`, 'true', [name]), isEnabled: false }]
    if (classes.length === classCount) return [routeOf(name, 'true', [name])]
    const condition = classes.map((each) => `${classKey} = '${each}'`).join(' OR ')
    // Asked of each message, and not once for each combination of properties.
    return [routeOf(name, random.chance(0.5) ? condition : `$connectionDeviceId = 'd' AND (${condition})`, [name])]
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const left = [...items]
    return items.flatMap(() => left.splice(this.#random.below(left.length), 1))
  }
}

function noChange(): void {}

function routeOf(name: string, condition: string, endpointNames: readonly string[]): RouteDocument {
  return { name, source: 'DeviceMessages', condition, endpointNames, isEnabled: true }
}
