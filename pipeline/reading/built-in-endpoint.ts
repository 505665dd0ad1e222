/**
 * The built-in endpoint as routes see it: readers are shown what the document in force sends to `events`, stamped as its enrichments say.
 *
 *   record ─▶ routes in force as it is shown ─▶ its messages for `events`     each under the number that it has on the log
 *
 * Nothing of an evaluation is kept but what the shelf keeps: another document holds for all that is shown from then on, whenever it was enqueued,
 * as it does where routers read the log again.
 */
import { setImmediate as nextRound } from 'node:timers/promises'
import { type BlockReader, blocksOf } from '#pipeline/routing/select/block-reader.ts'
import { Enricher } from '#pipeline/routing/select/enrichment.ts'
import { plainSelected } from '#pipeline/routing/select/plain-selected.ts'
import { RouteSet, type Routes } from '#pipeline/routing/select/route-set.ts'
import { type RecordKind, Selector } from '#pipeline/routing/select/selector.ts'
import type { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { PenstockError } from '#schemas/errors.ts'
import { builtInEndpoint, defaultFallbackName, emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import type { RecordView, ShownMessages } from './show-record.ts'

export interface BuiltInOptions {
  /** In enrichments, and in the messages that events become. */
  readonly hubName: string
  /** Shared by a process. */
  readonly reader: BlockReader
  /** Conditions are evaluated without generated code. */
  readonly interpreted: boolean
  readonly twins: SenderTwins
  /** Awaited before a record is shown while no document is in force: puts one in force, if it can. */
  readonly begin: () => Promise<void>
}

/** What a hub does before anybody wrote routes: all messages of devices, and nothing else. */
const neverWritten: RoutingDocument = {
  ...emptyRouting,
  fallbackRoute: {
    name: defaultFallbackName,
    condition: 'true',
    endpointNames: [builtInEndpoint],
    isEnabled: true,
  },
}

export class BuiltInEndpoint {
  readonly #options: BuiltInOptions
  #current: CompiledRoutes | undefined
  #applied = 0
  #editions = 0

  constructor(options: BuiltInOptions) {
    this.#options = options
  }

  /** The one in force here; -1: none yet. */
  get revision(): number {
    return this.#current?.revision ?? -1
  }

  /** Puts a document in force. @throws ROUTING_INVALID; then the one before stays in force */
  apply(revision: number, document: RoutingDocument): void {
    this.#current = new CompiledRoutes(revision, revision === 0 ? neverWritten : document, this.#options)
    this.#applied++
  }

  /** What readers are shown of the records of a topic. */
  view(kind: RecordKind): RecordView {
    // Not the document's: a store that was restored counts anew.
    const revision = () => this.#applied
    return {
      get revision() {
        return revision()
      },
      show: async (value) => {
        if (this.#current === undefined) await this.#options.begin()
        if (this.#current === undefined)
          throw new PenstockError('STORE_UNAVAILABLE', 'what routes send to the built-in endpoint is not known yet')
        // Twins change, so no two showings need be the same.
        return { ...(await this.#current.show(value, kind)), edition: ++this.#editions }
      },
    }
  }
}

class CompiledRoutes {
  readonly revision: number
  readonly #reader: BlockReader
  readonly #selector: Selector
  readonly #enricher: Enricher | undefined
  /** -1: nothing leads there. */
  readonly #endpoint: number

  /** @throws ROUTING_INVALID */
  constructor(revision: number, document: RoutingDocument, { hubName, reader, interpreted, twins }: BuiltInOptions) {
    this.revision = revision
    this.#reader = reader
    const enrichments = document.enrichments.filter(({ endpointNames }) => endpointNames.includes(builtInEndpoint))
    this.#enricher = enrichments.length === 0 ? undefined : new Enricher(enrichments, hubName)
    const decodedEndpoints = new Set(this.#enricher ? [builtInEndpoint] : [])
    const routeSet = RouteSet.compile(String(revision), routesOf(document), { interpreted, decodedEndpoints })
    this.#endpoint = routeSet.endpoints.indexOf(builtInEndpoint)
    const isStampedFromTwins = this.#endpoint >= 0 && this.#enricher?.asksTwins === true
    const twinStampedEndpoints = isStampedFromTwins ? [builtInEndpoint] : []
    // Known before the first twin is read, so that it is read once.
    for (const path of [...routeSet.needs.twinPaths, ...(this.#enricher?.twinPaths ?? [])]) twins.indexOf(path)
    // Devices have their turn between blocks.
    const between = async () => void (await nextRound())
    this.#selector = new Selector({ routeSet, reader, hubName, twins, twinStampedEndpoints, between })
  }

  async show(value: Uint8Array, kind: RecordKind): Promise<Pick<ShownMessages, 'blocks' | 'indexes'>> {
    const selection = await this.#selector.select(value, kind)
    if (selection.blocks === undefined && selection.countOf(this.#endpoint) > 0)
      return { blocks: await this.#reader.read(value, blocksOf(value)), indexes: undefined }
    return plainSelected(selection, this.#endpoint, this.#enricher)
  }
}

/** What leads to the built-in endpoint. Routes to others matter as far as the fallback leads there: what they take is not the fallback's. */
function routesOf({ routes, fallbackRoute }: RoutingDocument): Routes {
  const leadsHere = ({ endpointNames }: { readonly endpointNames: readonly string[] }) =>
    endpointNames.includes(builtInEndpoint)
  const hasFallback = fallbackRoute?.isEnabled === true && leadsHere(fallbackRoute)
  const matters = (route: (typeof routes)[number]) =>
    leadsHere(route) || (hasFallback && route.source === 'DeviceMessages')
  const narrowed = <Each extends { readonly endpointNames: readonly string[] }>(route: Each): Each => ({
    ...route,
    endpointNames: leadsHere(route) ? [builtInEndpoint] : [],
  })
  return {
    routes: routes.filter(matters).map(narrowed),
    ...(hasFallback ? { fallback: narrowed(fallbackRoute) } : {}),
  }
}
