import { compile } from './compile.ts'
import { type Explanation, explain } from './explain.ts'
import type { Facts } from './facts.ts'
import { interpret } from './interpret.ts'
import { enterNeeds, type NeedIndexes, pathTooMany } from './need-indexes.ts'
import { Needs, type Uses } from './needs.ts'
import type { Verdict } from './operations.ts'
import { parseCondition } from './parser.ts'
import { type Finding, type Problem, problemFrom, SyntaxFault } from './problem.ts'
import type { Node } from './tree.ts'
import { type Checked, checkTypes, type RoutingSource } from './type-check.ts'

export type { Explanation, Step } from './explain.ts'
export type { UndefinedReason } from './interpret.ts'
export type { Verdict } from './operations.ts'
export type { Location, Position, Problem } from './problem.ts'
export type { RoutingSource } from './type-check.ts'

/** A condition that compiled. */
export interface Condition {
  readonly text: string
  /** The lists that `uses` and the indexes of `Facts` count in. */
  readonly needs: Needs
  /** What this condition reads of them. Without body and twin paths the properties decide alone. */
  readonly uses: Uses
  /** Never throws, and keeps nothing of `facts`. */
  readonly evaluate: (facts: Facts) => Verdict
  /** The same verdict with its reasons; slowly. */
  readonly explain: (facts: Facts) => Explanation
  /** What code is generated from; undefined if none is to be. */
  readonly plan: { readonly checked: Checked; readonly indexes: NeedIndexes } | undefined
}

export interface ReadOptions {
  /** Shared by the conditions of a set of routes; nothing is entered into it where there are errors. */
  readonly needs?: Needs
  /** Evaluates without generated code, many times as slowly. */
  readonly interpreted?: boolean
}

export type Reading =
  | { readonly condition: Condition; readonly warnings: readonly Problem[] }
  | { readonly errors: readonly Problem[]; readonly warnings: readonly Problem[] }

/**
 * Reads a condition of the hub's routing language (docs/ROUTING.md) for messages of `source`. Never throws. A text of blanks and comments is
 * the condition `true`. Costs some milliseconds at most: the text, its parts and its depth are bounded by `limits`.
 */
export function readCondition(text: string, source: RoutingSource, options: ReadOptions = {}): Reading {
  const { needs = new Needs(), interpreted = false } = options
  const as = (severity: Problem['severity']) => (finding: Finding) => problemFrom(text, finding, severity)
  const parsed = parse(text)
  if (parsed instanceof SyntaxFault) return { errors: [as('error')(parsed.finding)], warnings: [] }

  const tree: Node = parsed.tree ?? { kind: 'literal', value: true, span: { start: 0, end: text.length } }
  const checked = checkTypes(text, tree, source)
  const warnings = [...parsed.warnings, ...checked.warnings].map(as('warning'))
  const excess = pathTooMany(tree, needs)
  const errors = excess === undefined ? checked.errors : [...checked.errors, excess]
  if (errors.length > 0) return { errors: errors.map(as('error')), warnings }

  const indexes = enterNeeds(tree, needs)
  const evaluate = interpreted
    ? (facts: Facts) => interpret(checked, indexes, facts).verdict
    : compile(checked, indexes)
  const condition: Condition = {
    text,
    needs,
    uses: indexes.uses,
    evaluate,
    explain: (facts) => explain(text, checked, indexes, facts),
    plan: interpreted ? undefined : { checked, indexes },
  }
  return { condition, warnings }
}

function parse(text: string): ReturnType<typeof parseCondition> | SyntaxFault {
  try {
    return parseCondition(text)
  } catch (error) {
    if (error instanceof SyntaxFault) return error
    throw error
  }
}
