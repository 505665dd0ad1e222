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
import { builtInEndpoint, type RoutingDocument } from '#schemas/routing/routing.ts'

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
 * Routes that are asked together, of every record. There are up to three sets, so that no endpoint waits for what only others need:
 *
 *   unseen  endpoints that get all of a source or nothing: blocks are passed on, and neither decompressed nor looked at
 *   apart   endpoints whose routes ask for no twin
 *   whole   all others
 *
 * A route that leads to endpoints of several sets is counted in the first of these.
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
  /** By endpoint; of one that is in none of them `#whole`. */
  readonly #asked: ReadonlyMap<string, AskedRoutes>
  readonly #whole: AskedRoutes
  readonly #encoders = new Map<string, SelectedEncoder>()
  readonly #enrichers: ReadonlyMap<string, Enricher>

  /** @throws ROUTING_INVALID of a document that was never checked, or by a newer program */
  constructor(revision: number | string, document: RoutingDocument, options: RevisionOptions) {
    this.id = String(revision)
    this.#enrichers = enrichersOf(document, options.hubName)
    const { interpreted, twins } = options
    const compile = { interpreted, decodedEndpoints: decodedOf(document) }
    const routes = routesOf(document)
    const all = RouteSet.compile(this.id, routes, compile)
    const stamped = [...this.#enrichers].filter(([, { asksTwins }]) => asksTwins).map(([name]) => name)
    // Known before the first twin is read, so that it is read once.
    const enrichers = [...this.#enrichers.values()]
    for (const path of [...all.needs.twinPaths, ...enrichers.flatMap(({ twinPaths }) => twinPaths)])
      twins?.indexOf(path)
    const asked = new Map<string, AskedRoutes>()
    const uncounted = new Set<string>()
    /** Asks these routes for the endpoints; each further set counts what none before did. */
    const ask = (part: string, names: ReadonlySet<string>, own: Routes): AskedRoutes => {
      const id = part === '' ? this.id : `${this.id}-${part}`
      const routeSet = RouteSet.compile(id, own, { ...compile, part, uncounted: new Set(uncounted) })
      const twinStampedEndpoints = stamped.filter((name) => routeSet.endpoints.includes(name))
      const set = { id, routeSet, selector: new Selector({ routeSet, ...options, twinStampedEndpoints }) }
      for (const name of names) asked.set(name, set)
      for (const name of routeSet.names) uncounted.add(name)
      return set
    }
    const enabled = document.endpoints.filter(({ isEnabled }) => isEnabled).map(({ name }) => name)
    const unseen = new Set(enabled.filter((name) => !compile.decodedEndpoints.has(name) && all.isDecidedUnseen(name)))
    if (unseen.size > 0) ask('unseen', unseen, routesUnseen(routes, all, unseen))
    const rest = withEndpoints(routes, (name) => !unseen.has(name))
    const asking = askingTwins(rest, all)
    const waiting = new Set([...stamped, ...asking.endpointNames])
    const apart = new Set(enabled.filter((name) => !waiting.has(name) && !unseen.has(name)))
    const asksTwins = waiting.size + asking.routes.size > 0
    if (asksTwins && apart.size > 0) ask('apart', apart, routesApart(rest, asking, waiting))
    this.#whole = ask('', waiting, rest)
    this.#asked = asked
  }

  /** What is asked for the sake of the endpoint. */
  routesFor(endpoint: string): AskedRoutes {
    return this.#asked.get(endpoint) ?? this.#whole
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

/** Those that take every message of their source, as far as they lead to these endpoints. */
function routesUnseen({ routes, fallback }: Routes, { always }: RouteSet, unseen: ReadonlySet<string>): Routes {
  const isOwn = (name: string): boolean => unseen.has(name)
  const taking = routes.filter(({ endpointNames }, index) => always.has(index) && endpointNames.some(isOwn))
  return withEndpoints({ routes: taking, ...(fallback && always.has(routes.length) && { fallback }) }, isOwn)
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
  const known = routes.filter((route) => !asking.routes.has(route))
  return withEndpoints(
    { routes: known, ...(fallback && !asking.fallback && { fallback }) },
    (name) => !waiting.has(name),
  )
}

function withEndpoints({ routes, fallback }: Routes, isWanted: (name: string) => boolean): Routes {
  const wanted = <Each extends { readonly endpointNames: readonly string[] }>(route: Each): Each => ({
    ...route,
    endpointNames: route.endpointNames.filter(isWanted),
  })
  return { routes: routes.map(wanted), ...(fallback && { fallback: wanted(fallback) }) }
}

/** The built-in endpoint reads the log for itself: what leads there is nobody's here. */
function routesOf({ routes, fallbackRoute: fallback }: RoutingDocument): Routes {
  const known = routes.map((route) => ({ ...route, source: route.source satisfies ConditionSource }))
  return withEndpoints({ routes: known, ...(fallback && { fallback }) }, (name) => name !== builtInEndpoint)
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
