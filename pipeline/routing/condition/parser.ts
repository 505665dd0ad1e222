/**
 * From weakest to tightest; all binary operators group to the left, and brackets come before all.
 *
 *   ??  ·  OR  ·  AND  ·  = != <>  ·  < <= > >=  ·  + - ||  ·  * / %  ·  NOT x, -x
 *
 *   operand = text | number | true | false | null | undefined | name | $name | {$name} | name ( [expression, …] ) | ( expression )
 */
import { limits } from '#schemas/limits.ts'
import { type Token, tokensOf } from './lexer.ts'
import { pathFrom, twinChangePathFrom, twinPathFrom } from './path.ts'
import { type Finding, type Span, SyntaxFault, shortened } from './problem.ts'
import type { BinaryOperator, Node } from './tree.ts'

const levels: readonly (readonly BinaryOperator[])[] = [
  ['??'],
  ['OR'],
  ['AND'],
  ['=', '<>'],
  ['<', '<=', '>', '>='],
  ['+', '-', '||'],
  ['*', '/', '%'],
]
interface BinaryLevel {
  readonly operator: BinaryOperator
  readonly level: number
}
const binaryLevels: ReadonlyMap<string, BinaryLevel> = new Map(
  levels.flatMap((operators, level) => operators.map((operator) => [operator, { operator, level }])),
)
const constants: ReadonlyMap<string, true | false | null | undefined> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
  ['undefined', undefined],
])
const anOperand = 'a property, a value or a bracket'

/**
 * The tree of a condition, undefined if it holds nothing but blanks and comments, and what is odd about its text.
 * @throws SyntaxFault if it is no condition, or a larger one than `limits` allow
 */
export function parseCondition(text: string): { tree: Node | undefined; warnings: readonly Finding[] } {
  if (Buffer.byteLength(text) > limits.conditionBytesMax) {
    throw new SyntaxFault({
      message: `the condition has more than ${limits.conditionBytesMax} bytes`,
      span: { start: 0, end: text.length },
    })
  }
  const { tokens, warnings } = tokensOf(text)
  const parser = new Parser(tokens)
  return { tree: parser.condition(), warnings: [...warnings, ...parser.warnings] }
}

class Parser {
  readonly warnings: Finding[] = []
  readonly #tokens: readonly Token[]
  #index = 0
  #nodeCount = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  condition(): Node | undefined {
    if (this.#isEnd()) return undefined
    const tree = this.#expression(0)
    if (!this.#isEnd()) this.#failAfter('an operator or the end')
    return tree
  }

  /** An expression of operators of that level and tighter ones. */
  #expression(levelMin: number): Node {
    let left = this.#operand()
    for (;;) {
      const { text, span: operatorSpan } = this.#token
      const next = this.#binaryOperator()
      if (next === undefined || next.level < levelMin) return left
      this.#index++
      if (this.#isEnd()) this.#fail(`${text} has nothing on its right`, operatorSpan, anOperand)
      const right = this.#expression(next.level + 1)
      const span = { start: left.span.start, end: right.span.end }
      left = this.#counted({ kind: 'binary', operator: next.operator, left, right, span, operatorSpan })
    }
  }

  #binaryOperator(): BinaryLevel | undefined {
    const { kind, text } = this.#token
    if (kind !== 'operator' && kind !== 'keyword') return undefined
    return binaryLevels.get(text === '!=' ? '<>' : text.toUpperCase())
  }

  #operand(): Node {
    const token = this.#token
    const { text, span } = token
    switch (token.kind) {
      case 'text':
      case 'number':
        this.#index++
        return this.#counted({ kind: 'literal', value: token.value, span })
      case 'name':
        this.#index++
        if (this.#isNext('(')) return this.#call(text, span)
        return this.#counted({ kind: 'property', name: text, span })
      case 'system':
        this.#index++
        return this.#counted(this.#system(text, span, false))
      case 'keyword':
        if (text.toUpperCase() === 'NOT') return this.#unary('NOT')
        if (!constants.has(text)) break
        this.#index++
        return this.#counted({ kind: 'literal', value: constants.get(text), span })
      case 'operator':
        if (text === '-') return this.#unary('-')
        if (text === '(') return this.#bracket()
        if (text === '{') return this.#braced()
        break
      case 'end':
        return this.#fail('the condition ends where a value should follow', span, anOperand)
    }
    return this.#fail(`${shortened(text)} stands where a value should`, span, anOperand)
  }

  #unary(operator: 'NOT' | '-'): Node {
    const operatorSpan = this.#take()
    const operand = this.#deeper(operatorSpan, () => this.#operand())
    const span = { start: operatorSpan.start, end: operand.span.end }
    return this.#counted({ kind: 'unary', operator, operand, span, operatorSpan })
  }

  #bracket(): Node {
    const open = this.#take()
    const inner = this.#deeper(open, () => this.#expression(0))
    const close = this.#close(')', open, 'an operator or )')
    return { ...inner, span: { start: open.start, end: close.end } }
  }

  /** `{$name}`. */
  #braced(): Node {
    const open = this.#take()
    const { kind, text, span } = this.#token
    if (kind !== 'system') this.#fail('braces hold a system property or a path', span, '{$name}')
    this.#index++
    const close = this.#close('}', open, '}')
    return this.#counted({ ...this.#system(text, span, true), span: { start: open.start, end: close.end } })
  }

  #call(name: string, nameSpan: Span): Node {
    const open = this.#take()
    const folded = name.toLowerCase()
    if (folded === 'twin_change_includes') return this.#twinChange(nameSpan, open)
    const given: Node[] = []
    this.#deeper(open, () => {
      if (this.#isNext(')')) return
      given.push(this.#expression(0))
      while (this.#isNext(',')) {
        this.#index++
        given.push(this.#expression(0))
      }
    })
    const close = this.#close(')', open, 'an operator, a comma or )')
    const span = { start: nameSpan.start, end: close.end }
    return this.#counted({ kind: 'call', name: folded, arguments: given, span, nameSpan })
  }

  #twinChange(nameSpan: Span, open: Span): Node {
    const { kind, text, span: pathSpan } = this.#token
    if (kind !== 'name') {
      this.#fail('twin_change_includes asks for one path', pathSpan, 'a path without quotes: properties.reported.mode')
    }
    const path = twinChangePathFrom(text, pathSpan)
    this.#index++
    const close = this.#close(')', open, ')')
    return this.#counted({ kind: 'twin-change', path, span: { start: nameSpan.start, end: close.end }, nameSpan })
  }

  #system(text: string, span: Span, braced: boolean): Node {
    const name = text.slice(1)
    if (name === '') this.#fail('a $ without a name', span, 'the name of a system property, or $body and a path')
    const [, root, rest = ''] = /^(body|twin)(?=[.[]|$)(.*)$/i.exec(name) ?? []
    if (root === undefined && !/[[\]]/.test(name)) return { kind: 'system', name, braced, span }
    if (!rest.startsWith('.')) {
      this.warnings.push({
        message: `${shortened(text)} never has a value`,
        span,
        ...(root !== undefined && { suggestion: `name what is below it: $${root}.name` }),
      })
      return { kind: 'unreadable', span }
    }
    const pathStart = span.start + '$body.'.length
    return root?.toLowerCase() === 'body'
      ? { kind: 'body', path: pathFrom(rest.slice(1), pathStart), span }
      : { kind: 'twin', path: twinPathFrom(rest.slice(1), pathStart), span }
  }

  get #token(): Token {
    // The last token is the end, which nothing takes.
    return this.#tokens[this.#index] as Token
  }

  #isEnd(): boolean {
    return this.#token.kind === 'end'
  }

  #isNext(operator: string): boolean {
    return this.#token.kind === 'operator' && this.#token.text === operator
  }

  #take(): Span {
    return (this.#tokens[this.#index++] as Token).span
  }

  #close(sign: ')' | '}', open: Span, expected: string): Span {
    if (this.#isNext(sign)) return this.#take()
    if (this.#isEnd()) return this.#fail(`the bracket has no closing ${sign}`, open, sign)
    return this.#failAfter(expected)
  }

  #counted<Kind extends Node>(node: Kind): Kind {
    if (++this.#nodeCount > limits.conditionNodesMax) {
      this.#fail(`the condition has more than ${limits.conditionNodesMax} names, values and operators`, node.span)
    }
    return node
  }

  #deeper<Result>(opening: Span, read: () => Result): Result {
    if (++this.#depth > limits.conditionDepthMax) {
      this.#fail(`the condition nests deeper than ${limits.conditionDepthMax} brackets and signs`, opening)
    }
    const result = read()
    this.#depth--
    return result
  }

  /** Something follows a complete expression that cannot. */
  #failAfter(expected: string): never {
    const { kind, text, span } = this.#token
    if (text === ')') this.#fail('a closing bracket without an opening one', span, expected)
    if (kind === 'operator') this.#fail(`${text} cannot stand here`, span, expected)
    this.#fail(
      `${shortened(text)} follows without an operator`,
      span,
      expected,
      suggestionAfter(text, this.#tokens[this.#index - 1]?.text ?? ''),
    )
  }

  #fail(message: string, span: Span, expected?: string, suggestion?: string): never {
    throw new SyntaxFault({
      message,
      span,
      ...(expected !== undefined && { expected }),
      ...(suggestion !== undefined && { suggestion }),
    })
  }
}

/** What was probably meant by somebody whose operator became part of a name, or who writes operators of another language. */
function suggestionAfter(text: string, previous: string): string | undefined {
  if (text.startsWith('&')) return 'write AND'
  if (text === '|') return 'write OR, or || to join texts'
  const [, operator = /[-+*%|]+$/.exec(previous)?.[0]] = /^(\|\||[-+*%])./.exec(text) ?? []
  return operator === undefined
    ? undefined
    : `write ${operator} with blanks around it: without them it is part of the word`
}
