import { absent, arrayValue, objectValue } from './facts.ts'
import { defined, isDefined, type Value } from './operations.ts'

/** `convertible` is a text or a number. */
export type Parameter = 'text' | 'number' | 'convertible'

/** Takes values of its parameters' types; with any other value its result is undefined. */
export interface ValueFunction {
  readonly kind: 'value'
  readonly parameters: readonly Parameter[]
  /** So many arguments must be given. */
  readonly argumentsMin: number
  /** Infinite where the last parameter may be repeated. */
  readonly argumentsMax: number
  readonly result: 'text' | 'number' | 'bool'
  /** Called with values of the parameters' types only. Never NaN. */
  readonly apply: (...values: never[]) => string | number | boolean | undefined
}

/** Takes one value of any type and says something about it. */
export interface Question {
  readonly kind: 'question'
  /** Called with anything but undefined: what has no value is neither of these, and of a body that cannot be read nothing is known. */
  readonly holds: (value: Value) => boolean
}

const text = (parameters: readonly Parameter[], apply: (...values: never[]) => string | undefined): ValueFunction =>
  valueFunction('text', parameters, apply)
const number = (parameters: readonly Parameter[], apply: (...values: never[]) => number | undefined): ValueFunction =>
  valueFunction('number', parameters, apply)
const bool = (parameters: readonly Parameter[], apply: (...values: never[]) => boolean): ValueFunction =>
  valueFunction('bool', parameters, apply)
const question = (holds: (value: Value) => boolean): Question => ({ kind: 'question', holds })

function valueFunction(
  result: ValueFunction['result'],
  parameters: readonly Parameter[],
  apply: ValueFunction['apply'],
): ValueFunction {
  return { kind: 'value', parameters, argumentsMin: parameters.length, argumentsMax: parameters.length, result, apply }
}

/** By name in lower case. `twin_change_includes` is none of them: its argument is no expression. */
export const functions: ReadonlyMap<string, ValueFunction | Question> = new Map<string, ValueFunction | Question>([
  ['abs', number(['number'], Math.abs)],
  ['exp', number(['number'], Math.exp)],
  ['power', number(['number', 'number'], power)],
  ['square', number(['number'], (value: number) => value * value)],
  ['ceiling', number(['number'], Math.ceil)],
  ['floor', number(['number'], Math.floor)],
  ['sign', number(['number'], Math.sign)],
  ['sqrt', number(['number'], (value: number) => defined(Math.sqrt(value)))],

  ['as_number', number(['convertible'], asNumber)],
  ['is_array', question((value) => value === arrayValue)],
  ['is_bool', question((value) => typeof value === 'boolean')],
  ['is_defined', question(isDefined)],
  ['is_null', question((value) => value === null || value === absent)],
  ['is_number', question((value) => Number.isFinite(value))],
  ['is_object', question((value) => value === objectValue)],
  ['is_primitive', question(isDefined)],
  ['is_string', question((value) => typeof value === 'string')],

  [
    'concat',
    { ...text(['text', 'text'], (...values: string[]) => values.join('')), argumentsMax: Number.POSITIVE_INFINITY },
  ],
  ['length', number(['text'], (value: string) => value.length)],
  ['lower', text(['text'], (value: string) => recased(value, (unit) => unit.toLowerCase()))],
  ['upper', text(['text'], (value: string) => recased(value, (unit) => unit.toUpperCase()))],
  ['substring', { ...text(['text', 'number', 'number'], substring), argumentsMin: 2 }],
  ['index_of', number(['text', 'text'], (value: string, fragment: string) => value.indexOf(fragment))],
  ['starts_with', bool(['text', 'text'], (value: string, fragment: string) => value.startsWith(fragment))],
  ['ends_with', bool(['text', 'text'], (value: string, fragment: string) => value.endsWith(fragment))],
  ['contains', bool(['text', 'text'], (value: string, fragment: string) => value.includes(fragment))],
])

/** Of 1, and of -1 to an infinite exponent, IEEE 754 says 1 where JavaScript says NaN. */
function power(base: number, exponent: number): number | undefined {
  const isOne = base === 1 || (base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY)
  return isOne ? 1 : defined(base ** exponent)
}

/** A number as JSON writes it, but for a plus sign, zeros before it and blanks around it. */
const numberText = /^[ \t\r\n]*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)[ \t\r\n]*$/

function asNumber(value: string | number): number | undefined {
  if (typeof value === 'number') return value
  const [, digits] = numberText.exec(value) ?? []
  return digits === undefined ? undefined : Number(digits)
}

/** From `start`, so many code units; undefined where the text does not have them. Fractions of a unit are cut off. */
function substring(value: string, start: number, length = value.length - start): string | undefined {
  if (start < 0 || start > value.length || length < 0 || length > value.length - start) return undefined
  const from = Math.trunc(start)
  return value.slice(from, from + Math.trunc(length))
}

/**
 * Character by character, and only where the other case is as long: a text keeps its length, and no character depends on its neighbours
 * (`ß` stays what it is, `Σ` becomes `σ` also at a word's end), as the hub has it.
 */
function recased(value: string, change: (character: string) => string): string {
  let result = ''
  for (const character of value) {
    const changed = change(character)
    result += changed.length === character.length ? changed : character
  }
  return result
}

/** Of which parameter the argument at that index is. */
export function parameterAt(called: ValueFunction, index: number): Parameter {
  return called.parameters[Math.min(index, called.parameters.length - 1)] ?? 'convertible'
}

/** `substring(text, number[, number])`. */
export function signatureOf(name: string, called: ValueFunction | Question): string {
  if (called.kind === 'question') return `${name}(value)`
  const required = called.parameters.slice(0, called.argumentsMin).map(named).join(', ')
  const optional = called.parameters.slice(called.argumentsMin).map((parameter) => `[, ${named(parameter)}]`)
  return `${name}(${required}${optional.join('')}${Number.isFinite(called.argumentsMax) ? '' : ', …'})`
}

const named = (parameter: Parameter): string => (parameter === 'convertible' ? 'text or number' : parameter)
