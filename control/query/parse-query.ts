import { isCount } from '#runtime/count.ts'
import { limits } from '#schemas/limits.ts'
import type {
  AggregateFunction,
  CompareOperator,
  Condition,
  Literal,
  Operand,
  Query,
  QuerySource,
  SelectItem,
  TextFunction,
} from './query-tree.ts'
import { queryFault, type Token, tokensOf } from './tokens.ts'

/** Conditions within conditions: bounds the recursion, far above what people write. */
const depthMax = 32
/** Comparisons of one query, so that a text of many small ones cannot make a statement of thousands of parameters. */
const conditionsMax = 200

/** Reads a query; the grammar is in `query.ts`. @throws PenstockError REGISTRY_QUERY_INVALID with the place of the fault */
export function parseQuery(text: string): Query {
  return parserOf(text).query()
}

/** Reads what stands behind WHERE; `undefined`: `*`, which all meet. @throws as `parseQuery` */
export function parseCondition(text: string): Condition | undefined {
  return text.trim() === '*' ? undefined : parserOf(text).condition()
}

function parserOf(text: string): Parser {
  if (Buffer.byteLength(text) > limits.queryBytesMax) throw queryFault(`is longer than ${limits.queryBytesMax} bytes`)
  return new Parser(tokensOf(text))
}

const sources: readonly QuerySource[] = ['devices', 'devices.modules', 'devices.jobs']

class Parser {
  readonly #tokens: readonly Token[]
  #index = 0
  #conditions = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  query(): Query {
    this.#expectWord('SELECT')
    const top = this.#takeWord('TOP') ? this.#wholeNumber() : undefined
    const items = this.#takeSign('*') ? undefined : this.#list(() => this.#item())
    this.#expectWord('FROM')
    const from = this.#source()
    if (from === 'devices.jobs' && items !== undefined)
      throw queryFault('selects parts of device jobs; only SELECT * is offered')
    const where = this.#takeWord('WHERE') ? this.#or(0) : undefined
    let groupBy: string[] = []
    if (this.#takeWord('GROUP')) {
      this.#expectWord('BY')
      groupBy = this.#list(() => this.#path())
    }
    if (this.#peek().kind !== 'end') this.#fail('the end')
    return { from, items, top, where, groupBy }
  }

  /** A condition alone. */
  condition(): Condition {
    const condition = this.#or(0)
    if (this.#peek().kind !== 'end') this.#fail('the end')
    return condition
  }

  #source(): QuerySource {
    const source = this.#path().toLowerCase()
    const known = sources.find((name) => name === source)
    if (known === undefined) throw queryFault(`asks FROM ${source}; there are ${sources.join(', ')}`)
    return known
  }

  #item(): SelectItem {
    const path = this.#path()
    if (path.toUpperCase() === 'COUNT') {
      this.#expectSign('(')
      this.#takeSign('*')
      this.#expectSign(')')
      return { kind: 'count', name: this.#takeWord('AS') ? this.#path() : 'count' }
    }
    const aggregate = aggregates[path.toUpperCase()]
    if (aggregate !== undefined && this.#takeSign('(')) {
      const argument = this.#path()
      this.#expectSign(')')
      const name = this.#takeWord('AS') ? this.#path() : path.toLowerCase()
      return { kind: 'aggregate', function: aggregate, path: argument, name }
    }
    return { kind: 'path', path, name: this.#takeWord('AS') ? this.#path() : path }
  }

  #or(depth: number): Condition {
    if (depth > depthMax) throw queryFault(`nests conditions deeper than ${depthMax}`)
    let left = this.#and(depth)
    while (this.#takeWord('OR')) left = { kind: 'or', left, right: this.#and(depth) }
    return left
  }

  #and(depth: number): Condition {
    let left = this.#not(depth)
    while (this.#takeWord('AND')) left = { kind: 'and', left, right: this.#not(depth) }
    return left
  }

  #not(depth: number): Condition {
    if (depth > depthMax) throw queryFault(`nests conditions deeper than ${depthMax}`)
    if (this.#takeWord('NOT')) return { kind: 'not', condition: this.#not(depth + 1) }
    if (this.#takeSign('(')) {
      const inner = this.#or(depth + 1)
      this.#expectSign(')')
      return inner
    }
    return this.#simple()
  }

  #simple(): Condition {
    if (++this.#conditions > conditionsMax) throw queryFault(`has more than ${conditionsMax} conditions`)
    const left = this.#operand()
    if (left.kind === 'path' && this.#takeSign('(')) return this.#call(left.path.toUpperCase())
    if (this.#takeWord('IN')) return { kind: 'in', operand: left, values: this.#literals() }
    if (this.#takeWord('NIN'))
      return { kind: 'not', condition: { kind: 'in', operand: left, values: this.#literals() } }
    if (this.#takeWord('NOT')) {
      this.#expectWord('IN')
      return { kind: 'not', condition: { kind: 'in', operand: left, values: this.#literals() } }
    }
    const token = this.#next()
    const operator = token.kind === 'sign' ? compareOperators[token.text] : undefined
    if (!operator) return this.#fail('a comparison', token)
    return { kind: 'compare', operator, left, right: this.#operand() }
  }

  #call(name: string): Condition {
    const path = this.#path()
    let condition: Condition
    if (name === 'IS_DEFINED') condition = { kind: 'defined', path }
    else if (isTextFunction(name)) {
      this.#expectSign(',')
      const token = this.#next()
      if (token.kind !== 'text') return this.#fail('a text', token)
      condition = { kind: 'text', function: name, path, text: token.text }
    } else throw queryFault(`calls ${name}, which is not offered`)
    this.#expectSign(')')
    return condition
  }

  #literals(): Literal[] {
    this.#expectSign('[')
    const values = this.#list(() => {
      const operand = this.#operand()
      return operand.kind === 'literal' ? operand.value : this.#fail('a value')
    })
    this.#expectSign(']')
    this.#conditions += values.length
    return values
  }

  #operand(): Operand {
    const token = this.#next()
    switch (token.kind) {
      case 'text':
        return { kind: 'literal', value: token.text }
      case 'number':
        return { kind: 'literal', value: token.value }
      case 'word': {
        const lower = token.text.toLowerCase()
        if (lower === 'true' || lower === 'false') return { kind: 'literal', value: lower === 'true' }
        return { kind: 'path', path: token.text }
      }
      case 'sign':
      case 'end':
        return this.#fail('a name or value', token)
    }
  }

  #path(): string {
    const token = this.#next()
    return token.kind === 'word' ? token.text : this.#fail('a name', token)
  }

  #wholeNumber(): number {
    const token = this.#next()
    if (token.kind === 'number' && isCount(token.value)) return token.value
    return this.#fail('a whole number', token)
  }

  #list<T>(one: () => T): T[] {
    const values = [one()]
    while (this.#takeSign(',')) values.push(one())
    return values
  }

  #peek(): Token {
    return this.#tokens[this.#index] ?? { kind: 'end', at: 0 }
  }

  #next(): Token {
    const token = this.#peek()
    this.#index++
    return token
  }

  #takeWord(word: string): boolean {
    const token = this.#peek()
    const found = token.kind === 'word' && token.text.toUpperCase() === word
    if (found) this.#index++
    return found
  }

  #takeSign(sign: string): boolean {
    const token = this.#peek()
    const found = token.kind === 'sign' && token.text === sign
    if (found) this.#index++
    return found
  }

  #expectWord(word: string): void {
    if (!this.#takeWord(word)) this.#fail(word)
  }

  #expectSign(sign: string): void {
    if (!this.#takeSign(sign)) this.#fail(sign)
  }

  #fail(expected: string, token = this.#peek()): never {
    throw queryFault(`cannot be read at character ${token.at}: expected ${expected}`)
  }
}

const compareOperators: Readonly<Record<string, CompareOperator>> = {
  '=': '=',
  '!=': '!=',
  '<>': '!=',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
}

const aggregates: Readonly<Partial<Record<string, AggregateFunction>>> = Object.assign(Object.create(null), {
  AVG: 'AVG',
  SUM: 'SUM',
  MIN: 'MIN',
  MAX: 'MAX',
})

function isTextFunction(name: string): name is TextFunction {
  return name === 'STARTSWITH' || name === 'ENDSWITH' || name === 'CONTAINS'
}
