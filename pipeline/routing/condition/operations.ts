/**
 * What the operators do with values that are known only when a message is there. An operand that is undefined, an array or an object makes
 * every result undefined; what is absent counts as null.
 */
import { absent, arrayValue, type BodyValue, objectValue } from './facts.ts'
import type { ArithmeticOperator, EqualityOperator, OrderOperator } from './tree.ts'

/** Any value that a part of a condition can have; those of bodies and twins are the widest. Numbers are never NaN. */
export type Value = BodyValue

/** True routes. False and undefined do not; undefined is counted with its reason. */
export type Verdict = true | false | undefined

/** A value that operators and functions take. */
export const isUsable = (value: Value): boolean => value !== undefined && value !== arrayValue && value !== objectValue

/** Whether `is_defined` says yes and `??` stays on its left. */
export const isDefined = (value: Value): boolean => isUsable(value) && value !== absent

/** A value where only true and false count. */
export const truth = (value: Value): Verdict => (typeof value === 'boolean' ? value : undefined)

/** Values of different types differ: nothing is converted. */
export function equality(operator: EqualityOperator, left: Value, right: Value): Verdict {
  if (!isUsable(left) || !isUsable(right)) return undefined
  const equal = left === right || (isNull(left) && isNull(right))
  return operator === '=' ? equal : !equal
}

/** Values of different types have no order: a temperature that is absent is neither above nor below 30. */
export function order(operator: OrderOperator, left: Value, right: Value): Verdict {
  if (isNull(left) && isNull(right)) return operator === '<=' || operator === '>='
  if (!hasOrder(left) || !hasOrder(right) || typeof left !== typeof right) return undefined
  switch (operator) {
    case '<':
      return left < right
    case '<=':
      return left <= right
    case '>':
      return left > right
    case '>=':
      return left >= right
  }
}

const isNull = (value: Value): boolean => value === null || value === absent

/** Texts by code unit, false before true. */
function hasOrder(value: Value): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

export function arithmetic(operator: ArithmeticOperator, left: Value, right: Value): number | undefined {
  if (typeof left !== 'number' || typeof right !== 'number') return undefined
  return defined(calculated(operator, left, right))
}

function calculated(operator: ArithmeticOperator, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      return left / right
    case '%':
      return left % right
  }
}

/** NaN is no value here. */
export const defined = (result: number): number | undefined => (Number.isNaN(result) ? undefined : result)
