/** Conditions and facts that a seed decides: well-typed ones, ill-typed ones, and texts that are none. */
import type { SeededRandom } from '#runtime/seeded-random.ts'
import { absent, arrayValue, type BodyValue, type Facts, objectValue, type UnreadableReason } from './facts.ts'
import { functions, type Parameter, parameterAt } from './functions.ts'
import type { Needs } from './needs.ts'
import type { RoutingSource } from './type-check.ts'

type Wanted = 'text' | 'number' | 'bool' | 'dynamic' | 'null' | 'undefined'

export const sources: readonly RoutingSource[] = [
  'DeviceMessages',
  'DeviceLifecycleEvents',
  'DeviceConnectionStateEvents',
  'TwinChangeEvents',
]
const names = ['level', 'a-b', 'größe', 'TRUE', '5+3', 'x!', 'from', '$odd', '温度']
const systemNames = ['$connectionDeviceId', '{$contentType}', '{ $messageId }', '$dt-subject', '$level']
const paths = ['$body.a', '$body.a.b[0]', '$Body.list[2].c', "$body.d'eau", '{$body.n}', '$twin.tags.Site', '$twin.x']
const texts = ["''", "'amber'", '"12.5"', "' 7 '", "'A\\u00e9\\'\\\\'", "'a\nb'", "'1e999'", "'😀'"]
const numbers = ['0', '-0', '1', '-17', '07', '0xff', '.5', '2.5e3', '1e999', '30', '1e-400']
const words = [
  'AND',
  'or',
  'NOT',
  '=',
  '!=',
  '<>',
  '<',
  '>=',
  '+',
  '-',
  '*',
  '/',
  '%',
  '||',
  '??',
  '(',
  ')',
  ',',
  '{',
  '}',
]
const alphabet = [
  ...'aZ09$._-+*/%!&|=<>?(){}[],;:\'"\\ \t\n\u00a0é温😀',
  '/*',
  '*/',
  '\\u00',
  '$body',
  '$twin.',
  'true',
  'null',
]

/** A value that a fact may have: few enough that equal ones meet. */
const textValues = ['', 'amber', '12.5', ' 7 ', '-3', 'Amber', '(5)', 'é', '😀', 'a\nb']
const numberValues = [0, -0, 1, -17, 12.5, 30, 1e308, Number.POSITIVE_INFINITY]
const bodyValues: readonly BodyValue[] = [
  ...textValues,
  ...numberValues,
  true,
  false,
  null,
  absent,
  arrayValue,
  objectValue,
]
const reasons: readonly UnreadableReason[] = ['content-type', 'content-encoding', 'not-json']

export class RandomConditions {
  readonly #random: SeededRandom

  constructor(random: SeededRandom) {
    this.#random = random
  }

  /** Any text: some of them compile. */
  text(): string {
    const kind = this.#random.below(10)
    if (kind === 0) return Array.from({ length: this.#random.below(30) }, () => this.#pick(alphabet)).join('')
    if (kind === 1) {
      return Array.from({ length: this.#random.below(12) }, () =>
        this.#pick([this.#pick(words), this.#leaf(this.#anyType())]),
      ).join(this.#pick([' ', '']))
    }
    const condition = this.#expression(this.#pick<Wanted>(['bool', 'bool', 'bool', this.#anyType()]), 4)
    return kind < 5 ? this.#mutated(condition) : condition
  }

  /** The same answers as often as it is asked. */
  facts(needs: Needs): Facts {
    const isReadable = this.#random.chance(0.9)
    const text = () => (this.#random.chance(0.2) ? undefined : this.#pick(textValues))
    const properties = needs.properties.map(text)
    const system = needs.systemProperties.map(text)
    const body = needs.bodyPaths.map(() => (isReadable ? this.#pick(bodyValues) : undefined))
    const twin = needs.twinPaths.map(() => this.#pick(bodyValues))
    const reason = isReadable ? undefined : this.#pick(reasons)
    return {
      property: (index) => properties[index],
      system: (index) => system[index],
      body: (index) => body[index],
      twin: (index) => twin[index],
      unreadable: () => reason,
    }
  }

  source(): RoutingSource {
    return this.#pick(sources)
  }

  #expression(wanted: Wanted, depth: number): string {
    // Now and then something of another type: what the type check is for.
    const type = this.#random.chance(0.02) ? this.#anyType() : wanted
    if (depth === 0 || this.#random.chance(0.15)) return this.#leaf(type)
    const text = this.#inner(type, depth - 1)
    return this.#random.chance(0.7) ? `(${text})` : text
  }

  #inner(type: Wanted, depth: number): string {
    const blank = this.#pick([' ', ' ', '\n', ' /* why */ '])
    const binary = (operator: string, left: Wanted, right: Wanted) =>
      `${this.#expression(left, depth)}${blank}${operator}${blank}${this.#expression(right, depth)}`
    switch (type) {
      case 'bool':
        switch (this.#random.below(6)) {
          case 0:
            return `NOT ${this.#expression(this.#pick(['bool', 'dynamic', 'null']), depth)}`
          case 1:
          case 2: {
            const operand = () => this.#pick<Wanted>(['bool', 'bool', 'dynamic', 'null', 'undefined'])
            return binary(this.#pick(['AND', 'or', 'OR', 'And']), operand(), operand())
          }
          case 3:
            return this.#call('bool', depth)
          default: {
            const operator = this.#pick(['=', '<>', '!=', '<', '<=', '>', '>='])
            const left = this.#anyType()
            const right = left === 'undefined' || this.#random.chance(0.6) ? left : 'dynamic'
            return this.#random.chance(0.5) ? binary(operator, left, right) : binary(operator, right, left)
          }
        }
      case 'number':
        switch (this.#random.below(4)) {
          case 0:
            return `- ${this.#expression('number', depth)}`
          case 1:
            return this.#call('number', depth)
          case 2:
            return binary('??', 'number', 'number')
          default:
            return binary(this.#pick(['+', '-', '*', '/', '%']), 'number', 'number')
        }
      case 'text':
        switch (this.#random.below(3)) {
          case 0:
            return this.#call('text', depth)
          case 1:
            return binary('??', 'text', 'text')
          default:
            return binary('||', this.#pick(['text', 'dynamic']), 'text')
        }
      case 'dynamic':
        switch (this.#random.below(3)) {
          case 0:
            return binary('??', 'dynamic', this.#pick(['dynamic', 'text', 'number', 'bool', 'null']))
          case 1:
            return `-${blank}${this.#expression('dynamic', depth)}`
          default:
            return binary(this.#pick(['+', '%', '/']), 'dynamic', 'number')
        }
      case 'null':
        return this.#random.chance(0.5) ? binary('AND', 'null', 'bool') : binary('OR', 'null', 'null')
      case 'undefined':
        return binary('??', 'undefined', 'undefined')
    }
  }

  #call(result: 'text' | 'number' | 'bool', depth: number): string {
    const fitting = [...functions].filter(([, called]) =>
      called.kind === 'value' ? called.result === result : result === 'bool',
    )
    const [name, called] = this.#pick(fitting)
    const shown = this.#random.chance(0.3) ? name.toUpperCase() : name
    if (called.kind === 'question') return `${shown}(${this.#expression(this.#anyType(), depth)})`
    const count = this.#random.integer(called.argumentsMin, Math.min(called.argumentsMax, called.argumentsMin + 1))
    const given = Array.from({ length: count }, (_, index) => this.#argument(parameterAt(called, index), depth))
    return `${shown}(${given.join(', ')})`
  }

  #argument(parameter: Parameter, depth: number): string {
    const type = parameter === 'convertible' ? this.#pick<Wanted>(['text', 'number']) : parameter
    return this.#expression(this.#random.chance(0.2) ? 'dynamic' : type, depth)
  }

  #leaf(type: Wanted): string {
    switch (type) {
      case 'text':
        return this.#pick([this.#pick(names), this.#pick(systemNames), this.#pick(texts)])
      case 'number':
        return this.#pick(numbers)
      case 'bool':
        return this.#pick(['true', 'false', 'twin_change_includes(tags.x)'])
      case 'dynamic':
        return this.#pick([...paths, '$body[0]'])
      case 'null':
      case 'undefined':
        return type
    }
  }

  #anyType(): Wanted {
    return this.#pick(['text', 'number', 'bool', 'dynamic', 'dynamic', 'null', 'undefined'])
  }

  /** With a few units left out, put in or said twice. */
  #mutated(text: string): string {
    let result = text
    for (let count = this.#random.integer(1, 3); count > 0; count--) {
      const at = this.#random.below(result.length + 1)
      const until = Math.min(result.length, at + this.#random.below(4))
      const between = this.#pick([
        '',
        this.#pick(alphabet),
        result.slice(at, until).repeat(2),
        ` ${this.#pick(words)} `,
      ])
      result = result.slice(0, at) + between + result.slice(until)
    }
    return result
  }

  #pick<Choice>(choices: readonly Choice[]): Choice {
    return choices[this.#random.below(choices.length)] as Choice
  }
}
