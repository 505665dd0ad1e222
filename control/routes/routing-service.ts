/** What people do with the document of routes: read it, put another in force, ask what it makes of a message. */
import type { SecretsKey } from '#control/store/secrets-key.ts'
import { readCondition } from '#pipeline/routing/condition/condition.ts'
import { factsOf, type RoutedMessage } from '#pipeline/routing/condition/message-facts.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { DocumentProblem } from '#runtime/document-reader.ts'
import { PenstockError } from '#schemas/errors.ts'
import type {
  BuiltInShows,
  FallbackRouteDocument,
  RouteDocument,
  RoutingDocument,
  RoutingSource,
} from '#schemas/routing/routing.ts'
import type { Values } from './endpoint-secrets.ts'
import { readRouting, shownRouting } from './read-routing.ts'
import { ReplayService } from './replay-service.ts'
import type { CheckDocument, RouterReport, RoutingStore } from './routes.ts'
import { opened, sealed } from './sealed-secrets.ts'

export interface ShownRouting {
  /** Names this document among all that were ever in force. */
  readonly etag: string
  readonly revision: number
  readonly changedAtMs: number
  readonly document: Values
}

/** A document that cannot be used, with every reason. */
export class RoutingRefused extends PenstockError {
  readonly problems: readonly DocumentProblem[]

  constructor(problems: readonly DocumentProblem[]) {
    const errors = problems.filter(({ severity }) => severity === 'error')
    super('ROUTING_INVALID', errors.map(({ path, message }) => `${path || 'the document'}: ${message}`).join('\n'))
    this.problems = problems
  }
}

export interface RoutingServiceOptions {
  /** Left out: nothing further is checked. */
  readonly check?: CheckDocument
  /** Left out: all. */
  readonly builtInShows?: BuiltInShows | undefined
  readonly clock?: Clock
}

export class RoutingService {
  readonly replays: ReplayService
  readonly builtInShows: BuiltInShows
  readonly #store: RoutingStore
  readonly #key: SecretsKey
  readonly #check: CheckDocument
  readonly #clock: Clock

  constructor(
    store: RoutingStore,
    key: SecretsKey,
    { check = async () => [], builtInShows = 'all', clock = systemClock }: RoutingServiceOptions = {},
  ) {
    this.replays = new ReplayService(store, clock)
    this.builtInShows = builtInShows
    this.#store = store
    this.#key = key
    this.#check = check
    this.#clock = clock
  }

  async shown(): Promise<ShownRouting> {
    return shownOf(await this.#store.read())
  }

  /** The document in force as routers have it, secrets included. @throws ROUTING_SECRETS_UNREADABLE, STORE_UNAVAILABLE */
  async inForce(): Promise<RoutingDocument> {
    return opened((await this.#store.read()).document, this.#key)
  }

  /** Every fault of a document that somebody would put in force, and how it would be shown; nothing changes. */
  async validate(json: unknown): Promise<{ problems: readonly DocumentProblem[]; document: Values }> {
    const { document, problems } = await this.#read(json)
    return { problems, document: shownRouting(document) }
  }

  /**
   * @param ifMatch etag of the document that this one was made from; `undefined`: whichever is in force
   * @throws RoutingRefused, ROUTING_ETAG_STALE, STORE_UNAVAILABLE
   */
  async put(
    json: unknown,
    ifMatch: string | undefined,
  ): Promise<ShownRouting & { problems: readonly DocumentProblem[] }> {
    const ifRevision = ifMatch === undefined ? undefined : revisionOf(ifMatch)
    // Else two that read, changed and wrote at once could end with the secrets of one and the addresses of the other.
    const { revision } = await this.#store.read()
    if (ifRevision !== undefined && ifRevision !== revision)
      throw new PenstockError('ROUTING_ETAG_STALE', `the routes are at revision ${revision}, not ${ifMatch}`)
    const { document, problems } = await this.#read(json)
    if (problems.some(({ severity }) => severity === 'error')) throw new RoutingRefused(problems)
    return { ...shownOf(await this.#store.write(sealed(document, this.#key), revision)), problems }
  }

  async reports(): Promise<RouterReport[]> {
    return await this.#store.reports()
  }

  async #read(json: unknown): Promise<{ document: RoutingDocument; problems: readonly DocumentProblem[] }> {
    const { revision, document: kept } = await this.#store.read()
    const next = { revision: revision + 1, atMs: this.#clock.nowMs() }
    const { document, problems } = readRouting(json, opened(kept, this.#key), next)
    if (problems.some(({ severity }) => severity === 'error')) return { document, problems }
    return { document, problems: [...problems, ...(await this.#check(document))] }
  }
}

function shownOf({ revision, changedAtMs, document }: Awaited<ReturnType<RoutingStore['read']>>): ShownRouting {
  return { etag: `"${revision}"`, revision, changedAtMs, document: shownRouting(document) }
}

/** @throws ROUTING_ETAG_STALE of what never was one */
function revisionOf(etag: string): number {
  const [, text] = /^(?:W\/)?"?(\d{1,15})"?$/.exec(etag) ?? []
  if (text === undefined) throw new PenstockError('ROUTING_ETAG_STALE', `${etag} is no etag of the routes`)
  return Number(text)
}

/** Which enabled routes of a source take a message, the fallback route among them where no other does. */
export function routesThatTake(
  document: RoutingDocument,
  source: RoutingSource,
  message: RoutedMessage,
): readonly (RouteDocument | FallbackRouteDocument)[] {
  const takes = (condition: string): boolean => {
    const reading = readCondition(condition, source)
    return 'condition' in reading && reading.condition.evaluate(factsOf(message, reading.condition.needs)) === true
  }
  const taken = document.routes.filter((route) => route.isEnabled && route.source === source && takes(route.condition))
  const { fallbackRoute } = document
  if (taken.length > 0 || source !== 'DeviceMessages' || !fallbackRoute?.isEnabled) return taken
  return takes(fallbackRoute.condition) ? [fallbackRoute] : []
}
