/**
 * A set of routes, compiled: for each source of messages, which conditions are to be asked of a message, and which endpoints follow.
 *
 *   always      conditions that ask nothing of a message and are true: their endpoints get everything, undecoded
 *   by suffix   conditions on properties alone: decided once for each combination of properties
 *   by message  conditions on the body, the device or the time
 *   fallback    of DeviceMessages: asked of a message for which no route of the others was true
 */
import {
  type Condition,
  type Problem,
  type RoutingSource,
  readCondition,
} from '#pipeline/routing/condition/condition.ts'
import { Needs } from '#pipeline/routing/condition/needs.ts'
import { storedAs } from '#pipeline/routing/condition/system-properties.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'

/** A route as it is written down; its text is read by `RouteSet.read`. */
export interface Route {
  readonly name: string
  readonly source: RoutingSource
  /** Missing: true. */
  readonly condition?: string | undefined
  readonly endpointNames: readonly string[]
  readonly isEnabled: boolean
}

/** Takes those of DeviceMessages that no route took. */
export interface FallbackRoute {
  readonly name: string
  readonly condition?: string | undefined
  readonly endpointNames: readonly string[]
  readonly isEnabled: boolean
}

export interface Routes {
  readonly routes: readonly Route[]
  readonly fallback?: FallbackRoute
}

/** Conditions with errors, by the name of their route. */
export interface RouteProblems {
  readonly route: string
  readonly errors: readonly Problem[]
}

/** A route whose condition is asked. */
export interface Rule {
  /** Its index among the names of the set. */
  readonly index: number
  readonly condition: Condition
  /** A bit for each of its endpoints. */
  readonly mask: Uint32Array
}

/** What the set says of the messages of one source. */
export interface SourceRules {
  /** Indexes of routes that take every message. */
  readonly always: readonly number[]
  /** Their endpoints. */
  readonly alwaysMask: Uint32Array
  readonly bySuffix: readonly Rule[]
  readonly byMessage: readonly Rule[]
  /** Undefined also where a route takes every message. */
  readonly fallback: (Rule & { readonly isBySuffix: boolean }) | undefined
  /** Whether a condition asks for the twin of a sender. */
  readonly asksTwins: boolean
  /** False if every message goes to `alwaysMask` and nowhere else, so that none needs to be looked at. */
  readonly looksAtMessages: boolean
}

export interface RouteSetOptions {
  /** Conditions are evaluated without generated code. */
  readonly interpreted?: boolean
  /** Endpoints that need messages, to stamp or to read them, and so can't be handed whole blocks. */
  readonly decodedEndpoints?: ReadonlySet<string> | undefined
  /** As of `RouteSet`. */
  readonly part?: string | undefined
  readonly uncounted?: ReadonlySet<string> | undefined
}

const none: ReadonlySet<string> = new Set()

export class RouteSet {
  /** Distinguishes it from other sets in caches. */
  readonly revision: string
  /** Names of the endpoints of its enabled routes; a bit of a mask is an index of these. */
  readonly endpoints: readonly string[]
  /** Names of its routes, the disabled ones too, and last of the fallback if there is one. */
  readonly names: readonly string[]
  readonly needs: Needs
  /** Indexes of enabled routes whose conditions ask for twins. */
  readonly twinRoutes: ReadonlySet<number>
  /** Which of the sets that the routes of a document are asked in, each of every record; empty where there is one. */
  readonly part: string
  /** Names of routes that are counted where they are asked in another set. */
  readonly uncounted: ReadonlySet<string>
  readonly #rules: ReadonlyMap<RoutingSource, SourceRules>

  private constructor(
    revision: string,
    routes: Routes,
    conditions: ReadonlyMap<number, Condition>,
    needs: Needs,
    { decodedEndpoints = none, part = '', uncounted = none }: RouteSetOptions,
  ) {
    this.revision = revision
    this.part = part
    this.needs = needs
    this.uncounted = uncounted
    this.twinRoutes = new Set(
      [...conditions].filter(([, { uses }]) => uses.twinPaths.length > 0).map(([index]) => index),
    )
    const all = withFallback(routes)
    this.names = all.map(({ name }) => name)
    this.endpoints = [
      ...new Set(all.filter(({ isEnabled }) => isEnabled).flatMap(({ endpointNames }) => endpointNames)),
    ]
    const sources = new Set(all.map(({ source }) => source))
    this.#rules = new Map(
      Array.from(sources, (source) => [source, this.#rulesOf(source, all, conditions, decodedEndpoints)]),
    )
  }

  /** Compiles the conditions of the enabled routes. */
  static read(revision: string, routes: Routes, options: RouteSetOptions = {}): RouteSet | readonly RouteProblems[] {
    const { interpreted = false } = options
    const needs = new Needs()
    const problems: RouteProblems[] = []
    const conditions = new Map<number, Condition>()
    for (const [index, { name, source, condition = 'true', isEnabled }] of withFallback(routes).entries()) {
      if (!isEnabled) continue
      const reading = readCondition(condition, source, { needs, interpreted })
      if ('errors' in reading) problems.push({ route: name, errors: reading.errors })
      else conditions.set(index, reading.condition)
    }
    return problems.length > 0 ? problems : new RouteSet(revision, routes, conditions, needs, options)
  }

  /** Of routes that were checked when they were written. @throws ROUTING_INVALID of those that were not, or by a newer program */
  static compile(revision: string, routes: Routes, options: RouteSetOptions = {}): RouteSet {
    const routeSet = RouteSet.read(revision, routes, options)
    if (routeSet instanceof RouteSet) return routeSet
    const names = routeSet.map(({ route }) => route).join(', ')
    throw new PenstockError('ROUTING_INVALID', `conditions that cannot be read: ${names}`)
  }

  /** Undefined if no enabled route has that source. */
  rules(source: RoutingSource): SourceRules | undefined {
    return this.#rules.get(source)
  }

  /** Indexes of routes that take every message of their source. */
  get always(): ReadonlySet<number> {
    return new Set([...this.#rules.values()].flatMap(({ always }) => always))
  }

  /** False if none of a source does: then no record has to be looked into. */
  get looksAtMessages(): boolean {
    return [...this.#rules.values()].some(({ looksAtMessages }) => looksAtMessages)
  }

  /** True of an endpoint that gets all messages of a source or none of them, whatever they hold. */
  isDecidedUnseen(endpoint: string): boolean {
    const index = this.endpoints.indexOf(endpoint)
    const isUndecided = ({ alwaysMask, bySuffix, byMessage, fallback }: SourceRules) =>
      !hasBit(alwaysMask, index) &&
      [...bySuffix, ...byMessage, ...(fallback ? [fallback] : [])].some(({ mask }) => hasBit(mask, index))
    return index >= 0 && ![...this.#rules.values()].some(isUndecided)
  }

  /** Words of a mask. */
  get maskWords(): number {
    return Math.max(1, Math.ceil(this.endpoints.length / 32))
  }

  #rulesOf(
    source: RoutingSource,
    all: readonly (Route & { readonly isFallback: boolean })[],
    conditions: ReadonlyMap<number, Condition>,
    decoded: ReadonlySet<string>,
  ): SourceRules {
    const always: number[] = []
    const alwaysMask = new Uint32Array(this.maskWords)
    const bySuffix: Rule[] = []
    const byMessage: Rule[] = []
    let fallback: SourceRules['fallback']
    for (const [index, route] of all.entries()) {
      const condition = conditions.get(index)
      if (condition === undefined || route.source !== source) continue
      const rule = { index, condition, mask: this.#maskOf(route.endpointNames) }
      if (route.isFallback) fallback = { ...rule, isBySuffix: isDecidedBySuffix(condition) }
      else if (isAlwaysTrue(condition)) {
        always.push(index)
        for (let word = 0; word < alwaysMask.length; word++)
          alwaysMask[word] = (alwaysMask[word] ?? 0) | (rule.mask[word] ?? 0)
      } else if (isDecidedBySuffix(condition)) bySuffix.push(rule)
      else byMessage.push(rule)
    }
    if (always.length > 0) fallback = undefined
    else if (fallback && bySuffix.length + byMessage.length === 0 && isAlwaysTrue(fallback.condition)) {
      always.push(fallback.index)
      alwaysMask.set(fallback.mask)
      fallback = undefined
    }
    const addsNothing = ({ mask }: Rule) => mask.every((bits, word) => (bits & ~(alwaysMask[word] ?? 0)) === 0)
    const isDecoded = this.endpoints.some((name, index) => decoded.has(name) && hasBit(alwaysMask, index))
    const looksAtMessages = isDecoded || fallback !== undefined || ![...bySuffix, ...byMessage].every(addsNothing)
    const asked = fallback === undefined ? byMessage : [...byMessage, fallback]
    const asksTwins = asked.some(({ condition }) => condition.uses.twinPaths.length > 0)
    return { always, alwaysMask, bySuffix, byMessage, fallback, asksTwins, looksAtMessages }
  }

  #maskOf(endpointNames: readonly string[]): Uint32Array {
    const mask = new Uint32Array(this.maskWords)
    for (const name of endpointNames) {
      const index = this.endpoints.indexOf(name)
      assert(index >= 0, 'an endpoint of an enabled route is one of the set')
      mask[index >> 5] = (mask[index >> 5] ?? 0) | (1 << (index & 31))
    }
    return mask
  }
}

const hasBit = (mask: Uint32Array, index: number): boolean => ((mask[index >> 5] ?? 0) & (1 << (index & 31))) !== 0

function withFallback({ routes, fallback }: Routes): (Route & { readonly isFallback: boolean })[] {
  const all = routes.map((route) => ({ ...route, isFallback: false }))
  return fallback === undefined ? all : [...all, { ...fallback, source: 'DeviceMessages', isFallback: true }]
}

const isAlwaysTrue = (condition: Condition): boolean => asksNothing(condition) && condition.evaluate(noFacts) === true

function asksNothing({ uses }: Condition): boolean {
  return uses.properties.length + uses.systemProperties.length + uses.bodyPaths.length + uses.twinPaths.length === 0
}

/** Of a message that has nothing. */
const noFacts = {
  property: () => undefined,
  system: () => undefined,
  body: () => undefined,
  twin: () => undefined,
  unreadable: () => undefined,
}

/** Device and time do not stand among the properties. */
function isDecidedBySuffix({ uses, needs }: Condition): boolean {
  const isProperty = (index: number) => typeof storedAs(needs.systemProperties[index] ?? '') === 'object'
  return uses.bodyPaths.length + uses.twinPaths.length === 0 && uses.systemProperties.every(isProperty)
}
