/** A document of routes, made ready to select by. */
import type { RoutingSource as ConditionSource } from '#pipeline/routing/condition/condition.ts'
import type { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { Enricher } from '#pipeline/routing/select/enrichment.ts'
import { RouteSet } from '#pipeline/routing/select/route-set.ts'
import { SelectedEncoder } from '#pipeline/routing/select/selected-bytes.ts'
import { Selector } from '#pipeline/routing/select/selector.ts'
import { BlockCompressor } from '#runtime/block-compressor.ts'
import { endpointKinds } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import { PenstockError } from '#schemas/errors.ts'
import { builtInEndpoint, type RoutingDocument } from '#schemas/routing/routing.ts'

export interface RevisionOptions {
  /** In enrichments, and in the messages that events become. */
  readonly hubName: string
  /** Shared by the revisions of a process. */
  readonly reader: BlockReader
  /** Conditions are evaluated without generated code. */
  readonly interpreted: boolean
}

export class RoutingRevision {
  /** In intents, and in keys of the cache. */
  readonly id: string
  readonly routeSet: RouteSet
  readonly selector: Selector
  readonly #encoders = new Map<string, SelectedEncoder>()
  readonly #enrichers: ReadonlyMap<string, Enricher>

  /** @throws ROUTING_INVALID of a document that was never checked, or by a newer program */
  constructor(revision: number | string, document: RoutingDocument, { hubName, reader, interpreted }: RevisionOptions) {
    this.id = String(revision)
    this.#enrichers = enrichersOf(document, hubName)
    const routeSet = RouteSet.read(this.id, routesOf(document), { interpreted, decodedEndpoints: decodedOf(document) })
    if (!(routeSet instanceof RouteSet)) {
      const names = routeSet.map(({ route }) => route).join(', ')
      throw new PenstockError('ROUTING_INVALID', `conditions that cannot be read: ${names}`)
    }
    this.routeSet = routeSet
    this.selector = new Selector({ routeSet, reader, hubName })
  }

  /** -1 of an endpoint that no enabled route leads to. */
  indexOf(endpoint: string): number {
    return this.routeSet.endpoints.indexOf(endpoint)
  }

  enricherOf(endpoint: string): Enricher | undefined {
    return this.#enrichers.get(endpoint)
  }

  encoderOf(endpoint: string): SelectedEncoder {
    const known = this.#encoders.get(endpoint)
    if (known !== undefined) return known
    const enricher = this.#enrichers.get(endpoint)
    const encoder = new SelectedEncoder({ compressor: new BlockCompressor(), ...(enricher && { enricher }) })
    this.#encoders.set(endpoint, encoder)
    return encoder
  }
}

/** The built-in endpoint reads the log for itself: what leads there is nobody's here. */
function routesOf({ routes, fallbackRoute }: RoutingDocument) {
  const elsewhere = (names: readonly string[]): readonly string[] => names.filter((name) => name !== builtInEndpoint)
  return {
    routes: routes.map((route) => ({
      ...route,
      source: route.source satisfies ConditionSource,
      endpointNames: elsewhere(route.endpointNames),
    })),
    ...(fallbackRoute && { fallback: { ...fallbackRoute, endpointNames: elsewhere(fallbackRoute.endpointNames) } }),
  }
}

/** Endpoints that are given messages, and those whose messages are stamped; to the others whole blocks pass undecoded. */
function decodedOf({ endpoints, enrichments }: RoutingDocument): ReadonlySet<string> {
  const stamped = enrichments.flatMap(({ endpointNames }) => endpointNames)
  const readers = endpoints.filter(({ kind }) => endpointKinds[kind].reads === 'messages').map(({ name }) => name)
  return new Set([...stamped, ...readers])
}

function enrichersOf({ enrichments }: RoutingDocument, hubName: string): Map<string, Enricher> {
  const names = new Set(enrichments.flatMap(({ endpointNames }) => endpointNames))
  return new Map(
    Array.from(names, (name) => {
      const own = enrichments.filter(({ endpointNames }) => endpointNames.includes(name))
      return [name, new Enricher(own, hubName)]
    }),
  )
}

/** The revision in force, and those that ranges under way may have been selected by. */
export class Revisions {
  #current: RoutingRevision
  readonly #known = new Map<string, RoutingRevision>()

  constructor(current: RoutingRevision) {
    this.#current = current
    this.#known.set(current.id, current)
  }

  get current(): RoutingRevision {
    return this.#current
  }

  replace(next: RoutingRevision): void {
    this.#current = next
    this.#known.set(next.id, next)
    for (const id of [...this.#known.keys()].slice(0, -revisionsKept)) this.#known.delete(id)
  }

  /** The one that is asked for, if it is still known; else the one in force. */
  find(id: string | undefined): RoutingRevision {
    return (id === undefined ? undefined : this.#known.get(id)) ?? this.#current
  }
}

/** A range is under way for minutes at most, unless its endpoint is away: then it may be selected by newer routes. */
const revisionsKept = 4
