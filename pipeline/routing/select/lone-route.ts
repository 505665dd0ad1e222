import type { Condition, RoutingSource, UndefinedReason } from '#pipeline/routing/condition/condition.ts'
import { assert } from '#runtime/assert.ts'
import { EnvelopeScan } from './envelope-scan.ts'
import { RouteSet } from './route-set.ts'
import { RouteTally, SelectionPass } from './selection-pass.ts'
import type { RecordTwins } from './sender-twins.ts'
import { StoredFacts } from './stored-facts.ts'

/** One route apart from the others of its set, to find out what it costs and why it is undefined. */
export class LoneRoute {
  readonly #condition: Condition
  readonly #facts: StoredFacts
  readonly #pass: SelectionPass
  readonly #tally = new RouteTally(1)
  readonly #scan = new EnvelopeScan()
  #isWarm = false

  private constructor(routeSet: RouteSet, source: RoutingSource, condition: Condition) {
    const rules = routeSet.rules(source)
    assert(rules, 'a set with a route of a source has rules of it')
    this.#condition = condition
    this.#facts = new StoredFacts(routeSet.needs)
    this.#pass = new SelectionPass(routeSet, rules)
  }

  /** @param text a condition that was read before; `undefined` if it asks nothing of a message, and so costs nothing */
  static of(text: string, source: RoutingSource, interpreted: boolean): LoneRoute | undefined {
    const route = { name: '', source, condition: text, endpointNames: [], isEnabled: true }
    const routeSet = RouteSet.read('', { routes: [route] }, { interpreted })
    assert(routeSet instanceof RouteSet, 'a condition that was read can be read again')
    const { bySuffix = [], byMessage = [] } = routeSet.rules(source) ?? {}
    const [rule] = [...bySuffix, ...byMessage]
    return rule && new LoneRoute(routeSet, source, rule.condition)
  }

  /** Milliseconds that a router takes to ask it of these envelopes, with all that it reads of them. */
  costMs(plain: Buffer, messageCount: number, twins: RecordTwins | undefined): number {
    const run = (): number => {
      const beginMs = performance.now()
      this.#pass.run(plain, messageCount, this.#tally, twins)
      return performance.now() - beginMs
    }
    // The first time is for making code of it.
    if (!this.#isWarm) run()
    this.#isWarm = true
    return run()
  }

  /** Why it is undefined of the first of these messages, by reason. */
  undefinedReasons(
    plain: Buffer,
    messagesMax: number,
    twins: RecordTwins | undefined,
  ): ReadonlyMap<UndefinedReason, number> {
    this.#facts.useTwins(twins)
    const reasons = new Map<UndefinedReason, number>()
    const { wanted } = this.#facts
    const scan = this.#scan
    scan.open(plain)
    for (let index = 0; index < messagesMax && scan.next(); index++) {
      scan.readMaps()
      wanted.read(scan)
      this.#facts.enter(scan, wanted.facts(scan))
      if (this.#condition.evaluate(this.#facts) !== undefined) continue
      const { reason } = this.#condition.explain(this.#facts)
      if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    }
    return reasons
  }
}
