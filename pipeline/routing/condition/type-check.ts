import { functions, parameterAt, signatureOf, type ValueFunction } from './functions.ts'
import { meantByFunction, meantByOperands, warningOfName, warningOfSystemName } from './hints.ts'
import { type Finding, type Span, shortened } from './problem.ts'
import type { BinaryNode, CallNode, Node, UnaryNode } from './tree.ts'

/** The sources of messages that routes know, by the hub's names. */
export type RoutingSource =
  | 'DeviceMessages'
  | 'DeviceLifecycleEvents'
  | 'DeviceConnectionStateEvents'
  | 'TwinChangeEvents'

/**
 * What is known of a value before there is a message. A text, a number or a bool may still turn out to have no value; `null` and `undefined`
 * are the keywords; what a body or a twin holds is `dynamic`.
 */
export type StaticType = 'text' | 'number' | 'bool' | 'null' | 'undefined' | 'dynamic'

/** A tree in which every operator and function has operands that it may have. */
export interface Checked {
  readonly tree: Node
  readonly types: ReadonlyMap<Node, StaticType>
}

const typeNames: Readonly<Record<StaticType, string>> = {
  text: 'a text',
  number: 'a number',
  bool: 'true or false',
  null: 'null',
  undefined: 'undefined',
  dynamic: 'a value of the message',
}

/** Types of all parts of a condition, and what does not fit together. Where there are errors the types are no use. */
export function checkTypes(
  text: string,
  tree: Node,
  source: RoutingSource,
): Checked & { errors: readonly Finding[]; warnings: readonly Finding[] } {
  const checker = new Checker(text, source)
  checker.typeOf(tree)
  const { types, errors, warnings } = checker
  return { tree, types, errors, warnings }
}

class Checker {
  readonly types = new Map<Node, StaticType>()
  readonly errors: Finding[] = []
  readonly warnings: Finding[] = []
  readonly #text: string
  readonly #source: RoutingSource

  constructor(text: string, source: RoutingSource) {
    this.#text = text
    this.#source = source
  }

  typeOf(node: Node): StaticType {
    const type = this.#check(node)
    this.types.set(node, type)
    return type
  }

  #check(node: Node): StaticType {
    switch (node.kind) {
      case 'literal':
        return typeOfLiteral(node.value)
      case 'property':
        this.#warn(warningOfName(node))
        return 'text'
      case 'system':
        this.#warn(warningOfSystemName(node))
        return 'text'
      case 'body':
      case 'twin':
      case 'unreadable':
        return 'dynamic'
      case 'twin-change':
        if (this.#source !== 'TwinChangeEvents') {
          this.#error(
            `twin_change_includes cannot be asked of ${this.#source}`,
            node.nameSpan,
            'the source TwinChangeEvents',
          )
        }
        return 'bool'
      case 'unary':
        return this.#unary(node)
      case 'binary':
        return this.#binary(node)
      case 'call':
        return this.#call(node)
    }
  }

  #unary(node: UnaryNode): StaticType {
    const type = this.typeOf(node.operand)
    const { operator, operatorSpan } = node
    if (operator === 'NOT') {
      if (type === 'bool' || type === 'null' || type === 'dynamic') return 'bool'
      this.#error(
        `NOT cannot be asked of ${typeNames[type]}`,
        operatorSpan,
        typeNames.bool,
        'NOT comes before = and <: put the comparison in brackets',
      )
      return 'dynamic'
    }
    if (type === 'number' || type === 'dynamic') return type
    this.#error(
      `- cannot stand before ${typeNames[type]}`,
      operatorSpan,
      typeNames.number,
      meantByOperands([node.operand], 'number'),
    )
    return 'number'
  }

  #binary(node: BinaryNode): StaticType {
    const left = this.typeOf(node.left)
    const right = this.typeOf(node.right)
    const isDynamic = left === 'dynamic' || right === 'dynamic'
    switch (node.operator) {
      case '=':
      case '<>':
      case '<':
      case '<=':
      case '>':
      case '>=':
        if (!areOfOneKind(left, right)) this.#mismatch(node, left, right, 'compare', 'with')
        return 'bool'
      case '??':
        if (!areOfOneKind(left, right)) this.#mismatch(node, left, right, 'choose between', 'and')
        return isDynamic ? 'dynamic' : left
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        this.#operands(node, [left, right], ['number', 'dynamic'], 'number')
        return isDynamic ? 'dynamic' : 'number'
      case '||':
        this.#operands(node, [left, right], ['text', 'dynamic'], 'text')
        return 'text'
      case 'AND':
        this.#operands(node, [left, right], ['bool', 'null', 'undefined', 'dynamic'], 'bool')
        return left === 'null' || right === 'null' ? 'null' : 'bool'
      case 'OR':
        this.#operands(node, [left, right], ['bool', 'null', 'undefined', 'dynamic'], 'bool')
        return left === 'null' && right === 'null' ? 'null' : 'bool'
    }
  }

  #operands(
    node: BinaryNode,
    given: readonly [StaticType, StaticType],
    allowed: readonly StaticType[],
    expected: StaticType,
  ): void {
    for (const [index, type] of given.entries()) {
      if (allowed.includes(type)) continue
      const operand = index === 0 ? node.left : node.right
      const suggestion = meantByOperands([operand], expected === 'number' ? 'number' : 'other')
      this.#error(
        `${this.#of(node.operatorSpan)} takes no operand that is ${typeNames[type]}`,
        operand.span,
        typeNames[expected],
        suggestion,
      )
    }
  }

  #mismatch(node: BinaryNode, left: StaticType, right: StaticType, verb: string, link: string): void {
    const operands = [node.left, node.right]
    const suggestion = meantByOperands(operands, left === 'number' || right === 'number' ? 'number' : 'other')
    const message = `${this.#of(node.operatorSpan)} cannot ${verb} ${typeNames[left]} ${link} ${typeNames[right]}`
    this.#error(message, node.operatorSpan, 'two values of one type', suggestion)
  }

  #call(node: CallNode): StaticType {
    const given = node.arguments.map((argument) => this.typeOf(argument))
    const called = functions.get(node.name)
    if (called === undefined) {
      this.#error(`there is no function ${this.#of(node.nameSpan)}`, node.nameSpan, undefined, meantByFunction(node))
      return 'dynamic'
    }
    const [least, most] = called.kind === 'question' ? [1, 1] : [called.argumentsMin, called.argumentsMax]
    const signature = signatureOf(node.name, called)
    if (given.length < least || given.length > most) {
      this.#error(
        `${node.name} was given ${given.length} argument${given.length === 1 ? '' : 's'}`,
        node.nameSpan,
        signature,
      )
    } else if (called.kind === 'value') {
      this.#arguments(node, called, given, signature)
    }
    return called.kind === 'question' ? 'bool' : called.result
  }

  #arguments(node: CallNode, called: ValueFunction, given: readonly StaticType[], signature: string): void {
    for (const [index, argument] of node.arguments.entries()) {
      const parameter = parameterAt(called, index)
      const type = given[index] ?? 'dynamic'
      const isConverted = parameter === 'convertible' && (type === 'text' || type === 'number')
      if (type === 'dynamic' || type === parameter || isConverted) continue
      const suggestion = meantByOperands([argument], parameter === 'number' ? 'number' : 'other')
      this.#error(`${node.name} cannot take ${typeNames[type]} here`, argument.span, signature, suggestion)
    }
  }

  #of(span: Span): string {
    return shortened(this.#text.slice(span.start, span.end))
  }

  #error(message: string, span: Span, expected?: string, suggestion?: string): void {
    this.errors.push({ message, span, ...(expected && { expected }), ...(suggestion && { suggestion }) })
  }

  #warn(warning: Finding | undefined): void {
    if (warning !== undefined) this.warnings.push(warning)
  }
}

/** A value of the message may be of any type but that of the keyword undefined, which no value has. */
function areOfOneKind(left: StaticType, right: StaticType): boolean {
  if (left === 'dynamic') return right !== 'undefined'
  return left === right || (right === 'dynamic' && left !== 'undefined')
}

function typeOfLiteral(value: string | number | boolean | null | undefined): StaticType {
  if (value === null) return 'null'
  switch (typeof value) {
    case 'string':
      return 'text'
    case 'number':
      return 'number'
    case 'boolean':
      return 'bool'
    default:
      return 'undefined'
  }
}
