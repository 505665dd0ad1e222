/**
 * What routes make of messages, as metrics. A record is counted once, however many endpoints read it and whenever they do; of every 64th one route
 * is looked at alone, so that all of it costs some nanoseconds a message.
 */
import type { RoutingSource, UndefinedReason } from '#pipeline/routing/condition/condition.ts'
import { LoneRoute } from '#pipeline/routing/select/lone-route.ts'
import type { RouteSet } from '#pipeline/routing/select/route-set.ts'
import type { SelectedBlock, Selection } from '#pipeline/routing/select/selection.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type Counter, type MetricSample, Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { CountedRecords, type RecordPlace } from './counted-records.ts'

const recordsPerSample = 64
/** Of a record that is looked at. */
const reasonsMessagesMax = 256
/** As the hub says it [D]: at most one a minute. */
const saidAgainMs = 60_000

/** A route of a set, with what is counted of it. */
interface CountedRoute {
  readonly name: string
  readonly matched: Counter
  readonly undefined: Counter
  readonly seconds: Counter
  /** Made when it is looked at first; null if it asks nothing of a message. */
  lone: LoneRoute | null | undefined
}

export class RouteCounts {
  readonly #metrics = new Metrics<MetricName>(metricsTable)
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #interpreted: boolean
  readonly #routes = new WeakMap<RouteSet, readonly CountedRoute[]>()
  readonly #counted = new CountedRecords()
  /** By route: when its undefined messages were spoken of last, and how many there were since. */
  readonly #undefined = new Map<string, { saidMonotonicMs: number; messages: number }>()
  /** By part of the document's routes, records that were counted. */
  readonly #records = new Map<string, number>()
  #hasFailed = false

  constructor({ logger, clock, interpreted }: { logger: Logger; clock: Clock; interpreted: boolean }) {
    this.#logger = logger
    this.#clock = clock
    this.#interpreted = interpreted
  }

  samples(): readonly MetricSample[] {
    return this.#metrics.samples()
  }

  /** HOT: per record that is selected from. Whatever goes wrong here, the record is delivered. */
  count(place: RecordPlace, selection: Selection, routeSet: RouteSet): void {
    try {
      this.#count(place, selection, routeSet)
    } catch (error) {
      if (!this.#hasFailed) this.#logger.error('what routes make of messages is not all counted', { error })
      this.#hasFailed = true
    }
  }

  #count(place: RecordPlace, selection: Selection, routeSet: RouteSet): void {
    if (!this.#counted.add(place, routeSet.part)) return
    const { matched, undefined: unclear } = selection.tally
    for (const [index, route] of this.#routesOf(routeSet).entries()) {
      if (routeSet.uncounted.has(route.name)) continue
      const [trues = 0, undefineds = 0] = [matched[index], unclear[index]]
      if (trues > 0) route.matched.add(trues)
      if (undefineds === 0) continue
      route.undefined.add(undefineds)
      this.#tellOfUndefined(route, undefineds, selection, routeSet)
    }
    const records = this.#records.get(routeSet.part) ?? 0
    this.#records.set(routeSet.part, records + 1)
    if (records % recordsPerSample === 0) this.#look(selection, routeSet, records / recordsPerSample)
  }

  #routesOf(routeSet: RouteSet): readonly CountedRoute[] {
    const known = this.#routes.get(routeSet)
    if (known) return known
    const routes = routeSet.names.map((name): CountedRoute => {
      const series = (metric: MetricName) => this.#metrics.series(metric, { route: name })
      return {
        name,
        matched: series('penstock_route_messages_matched_total'),
        undefined: series('penstock_route_messages_undefined_total'),
        seconds: series('penstock_route_cpu_seconds_total'),
        lone: undefined,
      }
    })
    this.#routes.set(routeSet, routes)
    return routes
  }

  /** One route, in its turn, about one block of the record: what it costs, and why it is undefined. */
  #look(selection: Selection, routeSet: RouteSet, turn: number): void {
    const [block] = selection.blocks ?? []
    if (block === undefined) return
    const rules = rulesOf(routeSet, block.source).filter(
      ({ index }) => !routeSet.uncounted.has(routeSet.names[index] ?? ''),
    )
    const rule = rules[turn % Math.max(1, rules.length)]
    const route = rule && this.#routesOf(routeSet)[rule.index]
    const lone = route && this.#loneOf(route, rule.condition.text, block.source)
    if (!lone) return
    const share = selection.messageCount / block.messageCount
    const seconds = (lone.costMs(block.plain, block.messageCount, selection.twins) / 1_000) * share
    route.seconds.add(seconds * recordsPerSample * rules.length)
    for (const [reason, messages] of reasonsIn(lone, block, selection))
      this.#metrics.series('penstock_route_undefined_sampled_total', { route: route.name, reason }).add(messages)
  }

  #tellOfUndefined(route: CountedRoute, messages: number, selection: Selection, routeSet: RouteSet): void {
    const nowMs = this.#clock.monotonicMs()
    const told = this.#undefined.get(route.name) ?? { saidMonotonicMs: Number.NEGATIVE_INFINITY, messages: 0 }
    this.#undefined.set(route.name, told)
    told.messages += messages
    if (nowMs - told.saidMonotonicMs < saidAgainMs) return
    const reasons = new Set<UndefinedReason>()
    for (const block of selection.blocks ?? []) {
      const rule = rulesOf(routeSet, block.source).find(({ index }) => routeSet.names[index] === route.name)
      const lone = rule && this.#loneOf(route, rule.condition.text, block.source)
      if (lone) for (const reason of reasonsIn(lone, block, selection).keys()) reasons.add(reason)
    }
    this.#logger.info('a route is undefined of messages', {
      operation: 'UndefinedRouteEvaluation',
      route: route.name,
      messages: told.messages,
      reasons: [...reasons].join(' '),
    })
    told.saidMonotonicMs = nowMs
    told.messages = 0
  }

  #loneOf(route: CountedRoute, condition: string, source: RoutingSource): LoneRoute | null {
    route.lone ??= LoneRoute.of(condition, source, this.#interpreted) ?? null
    return route.lone
  }
}

const reasonsIn = (lone: LoneRoute, { plain }: SelectedBlock, { twins }: Selection) =>
  lone.undefinedReasons(plain, reasonsMessagesMax, twins)

function rulesOf(routeSet: RouteSet, source: RoutingSource) {
  const { bySuffix = [], byMessage = [], fallback } = routeSet.rules(source) ?? {}
  return [...bySuffix, ...byMessage, ...(fallback ? [fallback] : [])]
}
