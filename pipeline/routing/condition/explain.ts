import { absent, arrayValue, type Facts, objectValue } from './facts.ts'
import { interpret, type UndefinedReason } from './interpret.ts'
import type { NeedIndexes } from './need-indexes.ts'
import type { Value, Verdict } from './operations.ts'
import { type Location, locationOf } from './problem.ts'
import type { Checked } from './type-check.ts'

/** One part of a condition and what it came to. */
export interface Step {
  readonly location: Location
  /** The part as it stands in the condition. */
  readonly text: string
  /** As JSON writes it; or `undefined`, `absent`, `an array`, `an object`. */
  readonly value: string
  /** Why it is undefined, or of no use to an operator. */
  readonly reason?: UndefinedReason
}

/** Why a message got its verdict. */
export interface Explanation {
  readonly verdict: Verdict
  /** Why the verdict is undefined, where it is. */
  readonly reason?: UndefinedReason
  /** Every part of the condition but what stands there as a value, inner ones before what they are part of; the last is the whole. */
  readonly steps: readonly Step[]
}

export function explain(text: string, checked: Checked, indexes: NeedIndexes, facts: Facts): Explanation {
  const steps: Step[] = []
  const { verdict, reason } = interpret(checked, indexes, facts, (node, outcome) => {
    if (node.kind === 'literal' && node !== checked.tree) return
    const { span } = node
    steps.push({
      location: locationOf(text, span),
      text: text.slice(span.start, span.end),
      value: shown(outcome.value),
      ...(outcome.reason !== undefined && { reason: outcome.reason }),
    })
  })
  return { verdict, ...(reason !== undefined && { reason }), steps }
}

function shown(value: Value): string {
  switch (value) {
    case undefined:
      return 'undefined'
    case absent:
      return 'absent'
    case arrayValue:
      return 'an array'
    case objectValue:
      return 'an object'
    default:
      return typeof value === 'number' ? String(value) : JSON.stringify(value)
  }
}
