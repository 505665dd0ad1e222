/** What one condition made of messages: how often it came to what, and some of the messages. */
import type { Condition, Step, UndefinedReason, Verdict } from '#pipeline/routing/condition/condition.ts'
import type { Facts } from '#pipeline/routing/condition/facts.ts'
import type { Envelope } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'

/** Messages of one verdict; where it is undefined, of one reason. */
export interface RouteOutcome {
  readonly verdict: 'true' | 'false' | 'undefined'
  readonly reason?: UndefinedReason
  readonly messages: number
  readonly samples: readonly MessageSample[]
}

/** All texts are cut at `limits.explainedTextMax`. */
export interface MessageSample {
  /** `topic/partition/offset/index` */
  readonly id: string
  readonly deviceId: string
  readonly enqueuedAtMs: number
  readonly properties: Readonly<Record<string, string>>
  readonly systemProperties: Readonly<Record<string, string>>
  readonly body: string
  readonly bodyBytes: number
  /** Every part of the condition and what it came to, inner ones first. */
  readonly steps: readonly Step[]
}

export class RouteOutcomes {
  readonly #condition: Condition
  readonly #samplesMax: number
  readonly #outcomes = new Map<Verdict | UndefinedReason, { messages: number; readonly samples: MessageSample[] }>()

  /** @param samplesMax of each outcome */
  constructor(condition: Condition, samplesMax: number) {
    this.#condition = condition
    this.#samplesMax = samplesMax
  }

  /** Asks the condition about one message; only where it is undefined, by the slow way that knows why. */
  ask(facts: Facts, id: () => string, envelope: () => Envelope): Verdict {
    const verdict = this.#condition.evaluate(facts)
    const explanation = verdict === undefined ? this.#condition.explain(facts) : undefined
    const outcome = this.#outcomeOf(explanation?.reason ?? verdict)
    outcome.messages++
    if (outcome.samples.length < this.#samplesMax) {
      const { steps } = explanation ?? this.#condition.explain(facts)
      outcome.samples.push(sampleOf(id(), envelope(), steps))
    }
    return verdict
  }

  /** True and false first, then reasons, the most frequent first. */
  list(): RouteOutcome[] {
    const outcomes = Array.from(this.#outcomes, ([key, counted]): RouteOutcome => {
      if (typeof key === 'string') return { verdict: 'undefined', reason: key, ...counted }
      return { verdict: key === undefined ? 'undefined' : key ? 'true' : 'false', ...counted }
    })
    const rank = ({ verdict }: RouteOutcome) => ['true', 'false', 'undefined'].indexOf(verdict)
    return outcomes.sort((one, other) => rank(one) - rank(other) || other.messages - one.messages)
  }

  #outcomeOf(key: Verdict | UndefinedReason) {
    const known = this.#outcomes.get(key)
    if (known !== undefined) return known
    const outcome = { messages: 0, samples: [] }
    this.#outcomes.set(key, outcome)
    return outcome
  }
}

function sampleOf(id: string, envelope: Envelope, steps: readonly Step[]): MessageSample {
  const { deviceId, enqueuedAtMs, properties, systemProperties, body } = envelope
  return {
    id,
    deviceId,
    enqueuedAtMs,
    properties: cutTexts(properties),
    systemProperties: cutTexts(systemProperties),
    body: Buffer.from(body).toString('utf8', 0, limits.explainedTextMax),
    bodyBytes: body.length,
    steps: steps.map((step) => ({ ...step, value: cut(step.value) })),
  }
}

const cut = (text: string): string => text.slice(0, limits.explainedTextMax)

const cutTexts = (texts: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(texts).map(([name, value]) => [name, cut(value)]))
