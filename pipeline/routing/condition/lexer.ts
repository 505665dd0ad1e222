import { type Finding, type Span, SyntaxFault, shortened } from './problem.ts'

/**
 * name      level, a-b, größe        one run of anything but blanks, quotes and  ( ) < > @ , ; : \ / [ ] ? = { }
 * system    $name, $body.d'or[0]     the same behind a dollar sign, and brackets, and an apostrophe within a word
 * number    12, -12, 0x1F, .5, 1e-3  a run that is a number as a whole; its sign belongs to it
 * text      'it\'s', "\u00e9"        escapes \' \" \\ \uXXXX
 * keyword   AND OR NOT               in any case; true false null undefined in lower case only
 * operator  = <> != < <= > >= + - * / % || ?? ( ) { } ,
 */
export type Token =
  | { readonly kind: 'name' | 'system' | 'operator' | 'keyword' | 'end'; readonly text: string; readonly span: Span }
  | { readonly kind: 'number'; readonly text: string; readonly span: Span; readonly value: number }
  | { readonly kind: 'text'; readonly text: string; readonly span: Span; readonly value: string }

const blank = /\s/
/** Ends a run of name characters. Behind a dollar sign brackets do not, nor an apostrophe between letters. */
const ending = /[()<>@,;:\\"'/[\]?={}\s]/
const endingSystem = /[()<>@,;:\\"/?={}\s]/
const letter = /[\p{L}\p{N}]/u
const number = /^(?:-?\d+|-?\d*\.\d+(?:[eE][+-]?\d+)?|-?\d+[eE][+-]?\d+|0[xX][\da-fA-F]+)$/
/** Operators that are also name characters: they are operators where they are a run of their own. */
const runOperators = new Set(['+', '-', '*', '%', '||', '!='])
const signs = ['<=', '<>', '>=', '??', '<', '>', '=', '/', '(', ')', '{', '}', ',']
const logicWords = new Set(['AND', 'OR', 'NOT'])
export const constantWords: readonly string[] = ['true', 'false', 'null', 'undefined']

/** What somebody from another language writes, and what it is here. */
const foreign: Readonly<Record<string, string>> = {
  '==': 'write = to compare',
  '=>': 'write >= for "at least"',
  '=<': 'write <= for "at most"',
}

/**
 * The tokens of a condition, the last of which is the end, and what is odd about them.
 * @throws SyntaxFault where no token can begin
 */
export function tokensOf(text: string): { tokens: readonly Token[]; warnings: readonly Finding[] } {
  const lexer = new Lexer(text)
  lexer.run()
  return lexer
}

class Lexer {
  readonly tokens: Token[] = []
  readonly warnings: Finding[] = []
  readonly #source: string
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  run(): void {
    for (this.#skip(); this.#at < this.#source.length; this.#skip()) {
      const first = this.#source.charAt(this.#at)
      if (first === "'" || first === '"') this.#text(first)
      else if (first === '$' || !ending.test(first)) this.#run(first)
      else this.#sign(first)
    }
    this.#push('end', this.#at)
  }

  /** Over blanks and comments. */
  #skip(): void {
    for (;;) {
      while (blank.test(this.#source.charAt(this.#at))) this.#at++
      if (!this.#source.startsWith('/*', this.#at)) return
      const close = this.#source.indexOf('*/', this.#at + 2)
      if (close < 0) this.#fail('the comment has no end', this.#at, this.#at + 2, { expected: '*/' })
      this.#at = close + 2
    }
  }

  #text(quote: string): void {
    const start = this.#at
    let value = ''
    for (let at = start + 1; at < this.#source.length; ) {
      const unit = this.#source.charAt(at)
      if (unit === quote) {
        this.#at = at + 1
        this.tokens.push({ kind: 'text', text: this.#source.slice(start, this.#at), span: this.#from(start), value })
        return
      }
      if (unit !== '\\') {
        value += unit
        at++
        continue
      }
      const [escaped, hex] = /^\\(?:["'\\]|u([\da-fA-F]{4}))/.exec(this.#source.slice(at, at + 6)) ?? []
      if (escaped === undefined) {
        this.#fail(`\\${this.#source.charAt(at + 1)} is no escape`, at, Math.min(at + 2, this.#source.length), {
          expected: `\\' \\" \\\\ or \\u with four hexadecimal digits`,
          suggestion: 'write \\\\ for a backslash',
        })
      }
      value += hex === undefined ? escaped.charAt(1) : String.fromCharCode(Number.parseInt(hex, 16))
      at += escaped.length
    }
    this.#fail('the text has no closing quote', start, this.#source.length, { expected: quote })
  }

  #run(first: string): void {
    const start = this.#at
    let stop = start + 1
    while (stop < this.#source.length && !this.#ends(first, stop)) stop++
    if (this.#source.charAt(stop - 1) === '!' && this.#source.charAt(stop) === '=') {
      if (stop - 1 === start) {
        this.#at = stop + 1
        this.#push('operator', start)
        return
      }
      const operand = shortened(this.#source.slice(start, stop - 1))
      this.warnings.push({
        message: `${operand}!= is read as ${operand} != here; a hub takes the ! for a part of the name`,
        span: { start, end: stop + 1 },
        suggestion: `write ${operand} != with a blank`,
      })
      stop--
    }
    this.#at = stop
    this.#push(kindOf(this.#source.slice(start, stop)), start)
  }

  /** Whether a run that begins with `first` has its end before `at`. */
  #ends(first: string, at: number): boolean {
    const unit = this.#source.charAt(at)
    if (first !== '$') return ending.test(unit)
    if (unit !== "'") return endingSystem.test(unit)
    return !letter.test(this.#source.charAt(at - 1)) || !letter.test(this.#source.charAt(at + 1))
  }

  #sign(first: string): void {
    const start = this.#at
    const two = this.#source.slice(start, start + 2)
    if (foreign[two] !== undefined) {
      this.#fail(`${two} is no operator`, start, start + 2, { suggestion: foreign[two] })
    }
    const sign = signs.find((candidate) => this.#source.startsWith(candidate, start))
    if (sign === undefined) {
      this.#fail(`${first} has no meaning here`, start, start + 1, {
        ...((first === '[' || first === ']') && {
          suggestion: 'an index stands behind a name in a path: $body.list[0]',
        }),
      })
    }
    this.#at = start + sign.length
    this.#push('operator', start)
  }

  #push(kind: Exclude<Token['kind'], 'text'>, start: number): void {
    const text = this.#source.slice(start, this.#at)
    const span = this.#from(start)
    if (kind === 'number') this.tokens.push({ kind, text, span, value: Number(text) })
    else this.tokens.push({ kind, text, span })
  }

  #from(start: number): Span {
    return { start, end: this.#at }
  }

  #fail(message: string, start: number, end: number, hints: { expected?: string; suggestion?: string }): never {
    throw new SyntaxFault({ message, span: { start, end }, ...hints })
  }
}

function kindOf(run: string): Exclude<Token['kind'], 'text' | 'end'> {
  if (number.test(run)) return 'number'
  if (constantWords.includes(run) || logicWords.has(run.toUpperCase())) return 'keyword'
  if (runOperators.has(run)) return 'operator'
  return run.startsWith('$') ? 'system' : 'name'
}
