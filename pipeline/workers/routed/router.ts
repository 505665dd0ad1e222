/**
 * Delivers the log to the endpoints of a document of routes, each for itself. Another document takes effect without a restart: routes at
 * the next range of each endpoint, endpoints that are new, changed or gone by a run of their own.
 */
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { SelectionCache } from '#pipeline/routing/select/selection-cache.ts'
import type { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import { type EndpointDocument, emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import { EndpointRun, type EndpointRunOptions } from './endpoint-run.ts'
import { RouteCounts } from './route-counts.ts'
import { Revisions, RoutingRevision } from './routing-revision.ts'

export interface RouterOptions extends Omit<EndpointRunOptions, 'endpoint' | 'revisions' | 'cache' | 'counts'> {
  /** In enrichments, and in the messages that events become. */
  readonly hubName: string
  /** Conditions are evaluated without generated code. */
  readonly interpreted: boolean
  /** Left out: nobody has a twin. */
  readonly twins?: SenderTwins | undefined
  /** Left out: one of `limits.selectionCacheBytesMax`. */
  readonly cache?: SelectionCache
}

export class Router {
  readonly #options: RouterOptions
  readonly #reader = new BlockReader()
  readonly #cache: SelectionCache
  readonly #counts: RouteCounts
  readonly #revisions: Revisions
  readonly #runs = new Map<string, EndpointRun>()
  /** Endpoints of the document in force that are enabled. */
  #wanted: ReadonlyMap<string, EndpointDocument> = new Map()
  /** By endpoint: runs of one name follow one another, and nobody waits for those of another. */
  readonly #turns = new Map<string, Promise<void>>()
  #revision = 0
  #document = emptyRouting

  constructor(options: RouterOptions) {
    this.#options = options
    this.#cache = options.cache ?? new SelectionCache()
    this.#counts = new RouteCounts(options)
    this.#revisions = new Revisions(this.#compiled(0, emptyRouting))
  }

  /** The one in force here. */
  get revision(): number {
    return this.#revision
  }

  get document(): RoutingDocument {
    return this.#document
  }

  get runs(): readonly EndpointRun[] {
    return [...this.#runs.values()]
  }

  /** Puts a document in force. @throws ROUTING_INVALID; then the one before stays in force */
  apply(revision: number, document: RoutingDocument): void {
    this.#revisions.replace(this.#compiled(revision, document))
    this.#revision = revision
    this.#document = document
    this.#wanted = new Map(document.endpoints.filter(({ isEnabled }) => isEnabled).map((each) => [each.name, each]))
    for (const name of new Set([...this.#runs.keys(), ...this.#wanted.keys()])) this.#takeTurn(name)
  }

  samples(): readonly MetricSample[] {
    return [...this.#counts.samples(), ...this.runs.flatMap((run) => run.samples())]
  }

  async close(): Promise<void> {
    this.#wanted = new Map()
    for (const name of this.#runs.keys()) this.#takeTurn(name)
    await Promise.all(this.#turns.values())
  }

  #takeTurn(name: string): void {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(() => this.#settle(name))
    this.#turns.set(name, turn)
  }

  /** Ends a run that is not wanted as it is, and begins the one that is wanted by then. */
  async #settle(name: string): Promise<void> {
    const run = this.#runs.get(name)
    if (run !== undefined) {
      if (JSON.stringify(run.endpoint) === JSON.stringify(this.#wanted.get(name))) return
      await run.close()
      this.#runs.delete(name)
    }
    const endpoint = this.#wanted.get(name)
    if (endpoint === undefined) return
    this.#runs.set(
      name,
      new EndpointRun({
        ...this.#options,
        endpoint,
        revisions: this.#revisions,
        cache: this.#cache,
        counts: this.#counts,
      }),
    )
  }

  #compiled(revision: number, document: RoutingDocument): RoutingRevision {
    const { hubName, interpreted, twins } = this.#options
    return new RoutingRevision(revision, document, { hubName, interpreted, twins, reader: this.#reader })
  }
}
