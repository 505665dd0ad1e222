/**
 * Faults that can be planted in a source file, in the order of their places. A mutant changes one thing:
 *
 *   boundary    < ↔ <=, > ↔ >=                      condition   === ↔ !==, && ↔ ||, if (a) and a ? … : … by !(a)
 *   arithmetic  + ↔ -, * ↔ /, % → *, += ↔ -=,       constant    0 ↔ 1, true ↔ false
 *               & ↔ |, << ↔ >>, min ↔ max           statement   a call, an assignment, a return that leaves early: removed
 *                                                   return      a function that returns before it does anything
 *
 * Types, imports and texts are left alone, and so are log lines.
 */
import { parseAst } from 'vitest/node'

export interface Mutant {
  readonly line: number
  readonly operator: 'boundary' | 'condition' | 'arithmetic' | 'constant' | 'statement' | 'return'
  /** What is replaced, `start` ≤ character < `end`. */
  readonly start: number
  readonly end: number
  readonly replacement: string
}

/** A node of the parser's tree, as far as it is looked at. */
interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

type Change = Omit<Mutant, 'line'>

const swaps: Readonly<Record<string, readonly [Mutant['operator'], string]>> = {
  '<': ['boundary', '<='],
  '<=': ['boundary', '<'],
  '>': ['boundary', '>='],
  '>=': ['boundary', '>'],
  '===': ['condition', '!=='],
  '!==': ['condition', '==='],
  '&&': ['condition', '||'],
  '||': ['condition', '&&'],
  '+': ['arithmetic', '-'],
  '-': ['arithmetic', '+'],
  '*': ['arithmetic', '/'],
  '/': ['arithmetic', '*'],
  '%': ['arithmetic', '*'],
  '&': ['arithmetic', '|'],
  '|': ['arithmetic', '&'],
  '<<': ['arithmetic', '>>'],
  '>>': ['arithmetic', '<<'],
  '>>>': ['arithmetic', '<<'],
  '+=': ['arithmetic', '-='],
  '-=': ['arithmetic', '+='],
  min: ['arithmetic', 'max'],
  max: ['arithmetic', 'min'],
  '0': ['constant', '1'],
  '1': ['constant', '0'],
  true: ['constant', 'false'],
  false: ['constant', 'true'],
}

/** All mutants of a source text. */
export function mutantsOf(source: string): Mutant[] {
  const changes: Change[] = []
  visit(parseAst(source, { lang: 'ts' }) as unknown as Node, source, changes)
  return changes
    .map((change) => ({ ...change, line: source.slice(0, change.start).split('\n').length }))
    .sort((a, b) => a.start - b.start || a.end - b.end)
}

export function planted(source: string, { start, end, replacement }: Mutant): string {
  return source.slice(0, start) + replacement + source.slice(end)
}

function visit(node: Node, source: string, changes: Change[]): void {
  if (isLeftAlone(node, source)) return
  changes.push(...changesOf(node, source))
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, source, changes)
  }
}

/** Nodes of types that hold an expression beside the type. */
const typedExpressions = new Set(['TSAsExpression', 'TSNonNullExpression', 'TSSatisfiesExpression'])

function isLeftAlone(node: Node, source: string): boolean {
  if (node.type.startsWith('TS')) return !typedExpressions.has(node.type)
  if (node.type === 'ImportDeclaration' || node.type === 'ExportAllDeclaration') return true
  return node.type === 'ExpressionStatement' && /^[\w.#]*\blogger\./.test(source.slice(node.start, node.end))
}

function changesOf(node: Node, source: string): Change[] {
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression':
    case 'AssignmentExpression': {
      const { left, right, operator } = node
      if (!isNode(left) || !isNode(right) || isText(left) || isText(right)) return []
      return swapped(String(operator), source.indexOf(String(operator), left.end))
    }
    case 'Literal':
      return swapped(source.slice(node.start, node.end), node.start)
    case 'MemberExpression': {
      const { object, property } = node
      if (!isNode(object) || !isNode(property) || object.name !== 'Math') return []
      return swapped(String(property.name), property.start)
    }
    case 'IfStatement':
    case 'ConditionalExpression':
      return isNode(node.test) ? negated(node.test, source) : []
    case 'ExpressionStatement':
      return node.directive === undefined || node.directive === null ? [removed(node)] : []
    case 'ReturnStatement':
    case 'ContinueStatement':
    case 'BreakStatement':
      // With a value its absence is a fault that types find.
      return node.argument === null || node.argument === undefined ? [removed(node)] : []
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      return isNode(node.body) ? returnedEarly(node.body) : []
    default:
      return []
  }
}

function swapped(token: string, start: number): Change[] {
  if (!Object.hasOwn(swaps, token)) return []
  const [operator, replacement] = swaps[token] ?? []
  return operator && replacement ? [{ operator, start, end: start + token.length, replacement }] : []
}

/** A comparison, or several, have mutants of their own that say more. */
function negated(test: Node, source: string): Change[] {
  if (test.type === 'BinaryExpression' || test.type === 'LogicalExpression') return []
  const { start, end } = test
  return [{ operator: 'condition', start, end, replacement: `!(${source.slice(start, end)})` }]
}

function removed({ start, end }: Node): Change {
  return { operator: 'statement', start, end, replacement: ';' }
}

/** Of one statement its removal is the same. */
function returnedEarly(body: Node): Change[] {
  if (body.type !== 'BlockStatement' || !Array.isArray(body.body) || body.body.length < 2) return []
  return [{ operator: 'return', start: body.start, end: body.start + 1, replacement: '{ return;' }]
}

function isText(node: Node): boolean {
  return node.type === 'TemplateLiteral' || (node.type === 'Literal' && typeof node.value === 'string')
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}
