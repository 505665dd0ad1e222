/** Query trees as SQL conditions. What comes from the caller goes into parameters, never into the text. */
import type { SqlValue } from '#control/store/database.ts'
import type { CompareOperator, Condition, Literal, Operand } from './query-tree.ts'
import { queryFault } from './tokens.ts'

type FieldType = 'text' | 'boolean' | 'time'

interface Field {
  readonly type: FieldType
  readonly sql: string
}

/** Paths of an identity by lower-case name. */
const fields: Readonly<Record<string, Field>> = {
  deviceid: { type: 'text', sql: 'i.device_id' },
  moduleid: { type: 'text', sql: `nullif(i.module_id, '')` },
  generationid: { type: 'text', sql: 'i.generation_id' },
  status: { type: 'text', sql: 'i.status' },
  statusreason: { type: 'text', sql: 'i.status_reason' },
  statusupdatetime: { type: 'time', sql: 'i.status_updated_at' },
  statusupdatedtime: { type: 'time', sql: 'i.status_updated_at' },
  authenticationtype: { type: 'text', sql: 'i.authentication' },
  connectionstate: { type: 'text', sql: `CASE WHEN p.connected THEN 'Connected' ELSE 'Disconnected' END` },
  connectionstateupdatedtime: { type: 'time', sql: 'p.connection_updated_at' },
  lastactivitytime: { type: 'time', sql: 'p.last_activity_at' },
  devicescope: { type: 'text', sql: 'i.device_scope' },
  managedby: { type: 'text', sql: 'i.managed_by' },
  etag: { type: 'text', sql: 'i.etag' },
  deviceetag: { type: 'text', sql: 'i.etag' },
  'capabilities.iotedge': { type: 'boolean', sql: 'i.iot_edge' },
}

export function fieldOf(path: string): Field | undefined {
  const name = path.toLowerCase()
  const key = name.startsWith('devices.') ? name.slice('devices.'.length) : name
  return Object.hasOwn(fields, key) ? fields[key] : undefined
}

/** Collects parameters; `add` gives the placeholder. */
export class Parameters {
  readonly values: SqlValue[] = []

  add(value: SqlValue): string {
    this.values.push(value)
    return `$${this.values.length}`
  }
}

/** @throws PenstockError REGISTRY_QUERY_INVALID where a time cannot be read */
export function conditionSql(condition: Condition, parameters: Parameters): string {
  switch (condition.kind) {
    case 'and':
    case 'or': {
      const left = conditionSql(condition.left, parameters)
      return `(${left} ${condition.kind.toUpperCase()} ${conditionSql(condition.right, parameters)})`
    }
    case 'not':
      // NULL (undefined) stays not true under NOT, as the hub has it.
      return `(NOT ${conditionSql(condition.condition, parameters)})`
    case 'defined': {
      const field = fieldOf(condition.path)
      return field ? `(${field.sql} IS NOT NULL)` : 'false'
    }
    case 'in': {
      const tests = condition.values.map((value) =>
        comparisonSql('=', condition.operand, { kind: 'literal', value }, parameters),
      )
      return `(${tests.join(' OR ')})`
    }
    case 'compare':
      return comparisonSql(condition.operator, condition.left, condition.right, parameters)
    case 'text': {
      const field = fieldOf(condition.path)
      if (field?.type !== 'text') return undefinedSql
      const text = `${parameters.add(condition.text)}::text`
      switch (condition.function) {
        case 'STARTSWITH':
          return `starts_with(${field.sql}, ${text})`
        case 'ENDSWITH':
          return `(right(${field.sql}, length(${text})) = ${text})`
        case 'CONTAINS':
          return `(strpos(${field.sql}, ${text}) > 0)`
      }
    }
  }
}

const undefinedSql = 'NULL::boolean'
const sqlOperators: Record<CompareOperator, string> = {
  '=': '=',
  '!=': '<>',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
}

function comparisonSql(operator: CompareOperator, left: Operand, right: Operand, parameters: Parameters): string {
  const leftField = left.kind === 'path' ? fieldOf(left.path) : undefined
  const rightField = right.kind === 'path' ? fieldOf(right.path) : undefined
  if ((left.kind === 'path' && !leftField) || (right.kind === 'path' && !rightField)) return undefinedSql
  const type = leftField?.type ?? rightField?.type
  const leftSql = leftField ? typed(leftField, type) : literalSql(left, type, parameters)
  const rightSql = rightField ? typed(rightField, type) : literalSql(right, type, parameters)
  // Values of different types are never equal and have no order.
  if (leftSql === undefined || rightSql === undefined) return undefinedSql
  return `(${leftSql} ${sqlOperators[operator]} ${rightSql})`
}

function typed(field: Field, type: FieldType | undefined): string | undefined {
  return field.type === type ? field.sql : undefined
}

function literalSql(operand: Operand, type: FieldType | undefined, parameters: Parameters): string | undefined {
  if (operand.kind !== 'literal') return undefined
  const { value } = operand
  switch (type) {
    case 'text':
      return typeof value === 'string' ? `${parameters.add(value)}::text` : undefined
    case 'boolean':
      return typeof value === 'boolean' ? `${parameters.add(value)}::boolean` : undefined
    case 'time':
      return typeof value === 'string' ? `${parameters.add(timeOf(value))}::timestamptz` : undefined
    case undefined:
      return bareLiteralSql(value, parameters)
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
