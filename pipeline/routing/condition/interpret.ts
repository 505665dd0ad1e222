/** Evaluates the tree step by step: what compiled conditions are compared with, and what explains a verdict. */
import { absent, type Facts, type UnreadableReason } from './facts.ts'
import { functions, parameterAt } from './functions.ts'
import type { NeedIndexes } from './need-indexes.ts'
import { arithmetic, equality, isDefined, isUsable, order, truth, type Value, type Verdict } from './operations.ts'
import type { BinaryNode, CallNode, Node, UnaryNode } from './tree.ts'
import type { Checked, StaticType } from './type-check.ts'

/**
 * Why something is undefined. `type`: an operator or a function has nothing to do with a value of that type; `value`: its result does not
 * exist, as of `3 % 0`, or `undefined` is what the condition says.
 */
export type UndefinedReason = UnreadableReason | 'property-absent' | 'path-absent' | 'type' | 'value'

/** A value; one that operators do not take, or only as null, comes with the reason. */
export interface Outcome {
  readonly value: Value
  readonly reason: UndefinedReason | undefined
}

/** Told of every part that was evaluated, inner ones first. */
export type OnOutcome = (node: Node, outcome: Outcome) => void

export interface Interpretation {
  readonly verdict: Verdict
  /** Why the verdict is undefined, where it is. */
  readonly reason: UndefinedReason | undefined
}

/** Evaluates both sides of every operator, also where one decides. */
export function interpret(checked: Checked, indexes: NeedIndexes, facts: Facts, onOutcome?: OnOutcome): Interpretation {
  const interpreter = new Interpreter(checked.types, indexes, facts, onOutcome)
  const outcome = interpreter.evaluate(checked.tree)
  // The keyword null, alone or as what AND and OR made of it, is false; a null of the message is not.
  const verdict = checked.types.get(checked.tree) === 'null' ? false : truth(outcome.value)
  return { verdict, reason: verdict === undefined ? (outcome.reason ?? 'type') : undefined }
}

class Interpreter {
  readonly #types: ReadonlyMap<Node, StaticType>
  readonly #indexes: NeedIndexes
  readonly #facts: Facts
  readonly #onOutcome: OnOutcome | undefined

  constructor(
    types: ReadonlyMap<Node, StaticType>,
    indexes: NeedIndexes,
    facts: Facts,
    onOutcome: OnOutcome | undefined,
  ) {
    this.#types = types
    this.#indexes = indexes
    this.#facts = facts
    this.#onOutcome = onOutcome
  }

  evaluate(node: Node): Outcome {
    const outcome = this.#outcomeOf(node)
    this.#onOutcome?.(node, outcome)
    return outcome
  }

  #outcomeOf(node: Node): Outcome {
    switch (node.kind) {
      case 'literal':
        return outcomeWith(node.value, 'value')
      case 'property':
        return outcomeWith(this.#facts.property(this.#indexes.first(node)), 'property-absent')
      case 'system': {
        const value = this.#facts.system(this.#indexes.first(node))
        if (value !== undefined || node.braced) return outcomeWith(value, 'property-absent')
        return outcomeWith(this.#facts.property(this.#indexes.second(node)), 'property-absent')
      }
      case 'body':
        return this.#read(this.#facts.body(this.#indexes.first(node)))
      case 'twin':
        return this.#read(this.#facts.twin(this.#indexes.first(node)))
      case 'unreadable':
        return outcomeWith(undefined)
      case 'twin-change': {
        const { value, reason } = this.#read(this.#facts.body(this.#indexes.first(node)))
        return value === undefined ? { value, reason } : outcomeWith(value !== absent)
      }
      case 'unary':
        return this.#unary(node)
      case 'binary':
        return this.#binary(node)
      case 'call':
        return this.#call(node)
    }
  }

  #read(value: Value): Outcome {
    if (value === undefined) return { value, reason: this.#facts.unreadable() ?? 'not-json' }
    if (value === absent) return { value, reason: 'path-absent' }
    return { value, reason: isUsable(value) ? undefined : 'type' }
  }

  #unary({ operator, operand }: UnaryNode): Outcome {
    const outcome = this.evaluate(operand)
    const { value } = outcome
    if (operator === '-') return outcomeWith(typeof value === 'number' ? -value : undefined, outcome.reason ?? 'type')
    if (this.#types.get(operand) === 'null') return outcomeWith(true)
    return outcomeWith(typeof value === 'boolean' ? !value : undefined, outcome.reason ?? 'type')
  }

  #binary(node: BinaryNode): Outcome {
    const left = this.evaluate(node.left)
    const right = this.evaluate(node.right)
    switch (node.operator) {
      case '=':
      case '<>':
        return outcomeWith(equality(node.operator, left.value, right.value), reasonOf([left, right], 'type'))
      case '<':
      case '<=':
      case '>':
      case '>=':
        return outcomeWith(order(node.operator, left.value, right.value), reasonOf([left, right], 'type'))
      case '+':
      case '-':
      case '*':
      case '/':
      case '%': {
        const areNumbers = typeof left.value === 'number' && typeof right.value === 'number'
        const reason = reasonOf([left, right], areNumbers ? 'value' : 'type')
        return outcomeWith(arithmetic(node.operator, left.value, right.value), reason)
      }
      case '||': {
        const joined =
          typeof left.value === 'string' && typeof right.value === 'string' ? left.value + right.value : undefined
        return outcomeWith(joined, reasonOf([left, right], 'type'))
      }
      case '??':
        return isDefined(left.value) ? left : right
      case 'AND':
        return this.#logic(node, left, right, false)
      case 'OR':
        return this.#logic(node, left, right, true)
    }
  }

  /** `decisive` is what one side suffices for. */
  #logic(node: BinaryNode, left: Outcome, right: Outcome, decisive: boolean): Outcome {
    if (this.#types.get(node) === 'null') return outcomeWith(null)
    // Only OR comes here with a keyword null: it is what the other side is.
    if (this.#types.get(node.left) === 'null') return judged(right)
    if (this.#types.get(node.right) === 'null') return judged(left)
    const [first, second] = [judged(left), judged(right)]
    if (first.value === decisive || second.value === decisive) return outcomeWith(decisive)
    if (first.value === undefined) return first
    return second
  }

  #call(node: CallNode): Outcome {
    const outcomes = node.arguments.map((argument) => this.evaluate(argument))
    const called = functions.get(node.name)
    const [first] = outcomes
    if (called === undefined || first === undefined) return outcomeWith(undefined)
    if (called.kind === 'question') {
      if (first.value !== undefined) return outcomeWith(called.holds(first.value))
      const isOfMessage = node.name !== 'is_defined' && this.#types.get(node.arguments[0] as Node) === 'dynamic'
      return outcomeWith(isOfMessage ? undefined : false, first.reason ?? 'type')
    }
    const fits = outcomes.every(({ value }, index) => {
      const parameter = parameterAt(called, index)
      return typeof value === 'string' ? parameter !== 'number' : typeof value === 'number' && parameter !== 'text'
    })
    if (!fits) return outcomeWith(undefined, reasonOf(outcomes, 'type'))
    return outcomeWith(called.apply(...(outcomes.map(({ value }) => value) as never[])), 'value')
  }
}

/** A value with the reason that it has if it is undefined. */
function outcomeWith(value: Value, reason: UndefinedReason = 'type'): Outcome {
  return { value, reason: value === undefined ? reason : undefined }
}

/** An outcome as AND and OR see it. */
function judged({ value, reason }: Outcome): Outcome {
  return outcomeWith(truth(value), reason ?? 'type')
}

/** The first reason that an operand brings. */
function reasonOf(outcomes: readonly Outcome[], otherwise: UndefinedReason): UndefinedReason {
  return outcomes.find(({ reason }) => reason !== undefined)?.reason ?? otherwise
}
