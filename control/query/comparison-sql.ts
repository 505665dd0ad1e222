/** Comparisons as SQL: NULL where a side is undefined or the two have different types. */
import { type ColumnType, type Field, type Parameters, sqlOf } from './fields.ts'
import type { CompareOperator, Literal, Operand } from './query-tree.ts'
import { queryFault } from './tokens.ts'

export const undefinedSql = 'NULL::boolean'

const sqlOperators: Record<CompareOperator, string> = {
  '=': '=',
  '!=': '<>',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
}

/** What is compared: a column or a path into a document, or a value. */
type Term = Field | { readonly type: 'literal'; readonly value: Literal }

export function comparisonSql(
  operator: CompareOperator,
  left: Operand,
  right: Operand,
  parameters: Parameters,
  isNegated: boolean,
): string {
  const leftTerm = termOf(left, parameters)
  const rightTerm = termOf(right, parameters)
  if (leftTerm === undefined || rightTerm === undefined) return undefinedSql
  const types = [leftTerm.type, rightTerm.type]
  if (types.includes('json') || types.includes('number')) {
    const indexed = operator === '=' && !isNegated ? containmentSql(leftTerm, rightTerm, parameters) : undefined
    return indexed ?? byKindSql(operator, leftTerm, rightTerm, parameters)
  }
  return byColumnSql(operator, leftTerm, rightTerm, parameters)
}

function termOf(operand: Operand, { fieldOf }: Parameters): Term | undefined {
  return operand.kind === 'path' ? fieldOf(operand.path) : { type: 'literal', value: operand.value }
}

/** Equality with a value where the documents have an index: `{"a":{"b":1}}` is contained. It is false where it is undefined. */
function containmentSql(left: Term, right: Term, parameters: Parameters): string | undefined {
  const [field, literal] = left.type === 'literal' ? [right, left] : [left, right]
  if (field.type !== 'json' || literal.type !== 'literal') return undefined
  const { column, keys } = field
  if (column === 't.reported' || keys.length === 0) return undefined
  let document: unknown = literal.value
  for (const key of keys.toReversed()) document = { [key]: document }
  return `(${column} @> ${parameters.add(JSON.stringify(document))}::text::jsonb)`
}

/** Kinds of values of JSON that can be compared. */
const kinds = ['string', 'number', 'boolean'] as const
type Kind = (typeof kinds)[number]

const kindOfType: Readonly<Record<ColumnType, Kind | undefined>> = {
  text: 'string',
  boolean: 'boolean',
  number: 'number',
  time: undefined,
}

function hasKind(term: Term, kind: Kind): boolean {
  if (term.type === 'json') return true
  return term.type === 'literal' ? typeof term.value === kind : kindOfType[term.type] === kind
}

/** A case for each kind that both sides may have. CASE, since a cast must not be tried on a value of another kind. */
function byKindSql(operator: CompareOperator, left: Term, right: Term, parameters: Parameters): string {
  const cases = kinds
    .filter((kind) => hasKind(left, kind) && hasKind(right, kind))
    .map((kind) => {
      const guards = [left, right].flatMap((term) =>
        term.type === 'json' ? [`jsonb_typeof(${sqlOf(term, parameters)}) = '${kind}'`] : [],
      )
      const test = `${kindSql(left, kind, parameters)} ${sqlOperators[operator]} ${kindSql(right, kind, parameters)}`
      return `WHEN ${guards.length === 0 ? 'true' : guards.join(' AND ')} THEN ${test}`
    })
  return cases.length === 0 ? undefinedSql : `(CASE ${cases.join(' ')} END)`
}

/** Texts are ordered by their bytes, all else as documents order them. */
function kindSql(term: Term, kind: Kind, parameters: Parameters): string {
  if (kind === 'string') {
    if (term.type === 'literal') return `${parameters.add(String(term.value))}::text COLLATE "C"`
    const sql = sqlOf(term, parameters)
    return term.type === 'json' ? `(${sql} #>> '{}') COLLATE "C"` : `${sql} COLLATE "C"`
  }
  if (term.type === 'literal') return `${parameters.add(JSON.stringify(term.value))}::text::jsonb`
  return term.type === 'json' ? sqlOf(term, parameters) : `to_jsonb(${term.sql})`
}

function byColumnSql(operator: CompareOperator, left: Term, right: Term, parameters: Parameters): string {
  const type = left.type === 'literal' ? right.type : left.type
  const leftSql = columnSql(left, type, parameters)
  const rightSql = columnSql(right, type, parameters)
  if (leftSql === undefined || rightSql === undefined) return undefinedSql
  return `(${leftSql} ${sqlOperators[operator]} ${rightSql})`
}

/** `undefined`: it is of another type, so that the two are never equal and have no order. */
function columnSql(term: Term, type: Term['type'], parameters: Parameters): string | undefined {
  if (term.type === 'json') return undefined
  if (term.type !== 'literal') return term.type === type ? term.sql : undefined
  const { value } = term
  switch (type) {
    case 'text':
      return typeof value === 'string' ? `${parameters.add(value)}::text` : undefined
    case 'boolean':
      return typeof value === 'boolean' ? `${parameters.add(value)}::boolean` : undefined
    case 'time':
      return typeof value === 'string' ? `${parameters.add(timeOf(value))}::timestamptz` : undefined
    case 'literal':
      return bareLiteralSql(value, parameters)
    case 'number':
    case 'json':
      return undefined
  }
}

/** Of two literals; numbers become text of one form, so that `1 = 1.0` holds. */
function bareLiteralSql(value: Literal, parameters: Parameters): string {
  return `${parameters.add(`${typeof value}:${String(value)}`)}::text`
}

function timeOf(text: string): Date {
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw queryFault(`compares a time with ${JSON.stringify(text.slice(0, 40))}`)
  return time
}
