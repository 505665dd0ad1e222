/** A document of routes, made ready to select by. */
import type { RoutingSource as ConditionSource } from '#pipeline/routing/condition/condition.ts'
import type { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { Enricher } from '#pipeline/routing/select/enrichment.ts'
import { type Route, RouteSet, type Routes } from '#pipeline/routing/select/route-set.ts'
import { SelectedEncoder } from '#pipeline/routing/select/selected-bytes.ts'
import { Selector } from '#pipeline/routing/select/selector.ts'
import type { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { BlockCompressor } from '#runtime/block-compressor.ts'
import { endpointKinds } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import { builtInEndpoint, type EndpointDocument, type RoutingDocument } from '#schemas/routing/routing.ts'

export interface RevisionOptions {
  /** In enrichments, and in the messages that events become. */
  readonly hubName: string
  /** Shared by the revisions of a process. */
  readonly reader: BlockReader
  /** Conditions are evaluated without generated code. */
  readonly interpreted: boolean
  /** Shared by the revisions of a process; left out: nobody has a twin. */
  readonly twins?: SenderTwins | undefined
}

/**
 * Routes that are asked together. Where some ask for twins of senders, the routes to all other endpoints are asked apart from them too, so that
 * these wait for no twin.
 */
export interface AskedRoutes {
  /** In keys of the cache. */
  readonly id: string
  readonly routeSet: RouteSet
  readonly selector: Selector
}

export class RoutingRevision {
  /** In intents. */
  readonly id: string
  /** Of endpoints that wait for twins, or of all where none does. */
  readonly #whole: AskedRoutes
  /** Of the others. */
  readonly #apart: AskedRoutes
  readonly #waiting: ReadonlySet<string>
  readonly #encoders = new Map<string, SelectedEncoder>()
  readonly #enrichers: ReadonlyMap<string, Enricher>

  /** @throws ROUTING_INVALID of a document that was never checked, or by a newer program */
  constructor(revision: number | string, document: RoutingDocument, options: RevisionOptions) {
    this.id = String(revision)
    this.#enrichers = enrichersOf(document, options.hubName)
    const routes = routesOf(document)
    const decodedEndpoints = decodedOf(document)
    const stamped = [...this.#enrichers].filter(([, { asksTwins }]) => asksTwins).map(([name]) => name)
    const read = (id: string, asked: Routes, uncounted?: ReadonlySet<string>): AskedRoutes => {
      const routeSet = RouteSet.compile(id, asked, { interpreted: options.interpreted, decodedEndpoints, uncounted })
      const twinStampedEndpoints = stamped.filter((name) => routeSet.endpoints.includes(name))
      return { id, routeSet, selector: new Selector({ routeSet, ...options, twinStampedEndpoints }) }
    }
    const whole = read(this.id, routes)
    // Known before the first twin is read, so that it is read once.
    const { twins } = options
    const enrichers = [...this.#enrichers.values()]
    for (const path of [...whole.routeSet.needs.twinPaths, ...enrichers.flatMap(({ twinPaths }) => twinPaths)])
      twins?.indexOf(path)
    const asking = askingTwins(routes, whole.routeSet)
    this.#waiting = new Set([...stamped, ...asking.endpointNames])
    const isApart = ({ name, isEnabled }: EndpointDocument) => isEnabled && !this.#waiting.has(name)
    if (this.#waiting.size === 0 || !document.endpoints.some(isApart)) {
      this.#whole = whole
      this.#apart = whole
    } else {
      this.#apart = read(`${this.id}-apart`, routesApart(routes, asking, this.#waiting))
      this.#whole = read(this.id, routes, new Set(this.#apart.routeSet.names))
    }
  }

  /** What is asked for the sake of the endpoint. */
  routesFor(endpoint: string): AskedRoutes {
    return this.#waiting.has(endpoint) ? this.#whole : this.#apart
  }

  /** In `routesFor`; -1 of an endpoint that no enabled route leads to. */
  indexOf(endpoint: string): number {
    return this.routesFor(endpoint).routeSet.endpoints.indexOf(endpoint)
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

/** Routes that say nothing before a twin is known. */
interface AskingTwins {
  readonly routes: ReadonlySet<Route>
  /** Also where it takes what such a route did not. */
  readonly fallback: boolean
  /** Where they lead. */
  readonly endpointNames: readonly string[]
}

function askingTwins({ routes, fallback }: Routes, { twinRoutes }: RouteSet): AskingTwins {
  const asking = routes.filter((_, index) => twinRoutes.has(index))
  const asksFallback = twinRoutes.has(routes.length) || asking.some(({ source }) => source === 'DeviceMessages')
  const all = [...asking, ...(fallback?.isEnabled && asksFallback ? [fallback] : [])]
  return {
    routes: new Set(asking),
    fallback: asksFallback,
    endpointNames: all.flatMap(({ endpointNames }) => endpointNames),
  }
}

/** All routes that know their answer without twins, and lead to no endpoint that waits for some. */
function routesApart({ routes, fallback }: Routes, asking: AskingTwins, waiting: ReadonlySet<string>): Routes {
  const apart = <Each extends { readonly endpointNames: readonly string[] }>(route: Each): Each => ({
    ...route,
    endpointNames: route.endpointNames.filter((name) => !waiting.has(name)),
  })
  return {
    routes: routes.filter((route) => !asking.routes.has(route)).map(apart),
    ...(fallback && !asking.fallback ? { fallback: apart(fallback) } : {}),
  }
}

/** The built-in endpoint reads the log for itself: what leads there is nobody's here. */
function routesOf({ routes, fallbackRoute }: RoutingDocument): Routes {
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
