/** Query trees as SQL conditions. What comes from the caller goes into parameters, never into the text. */
import { comparisonSql, undefinedSql } from './comparison-sql.ts'
import { type Parameters, sqlOf } from './fields.ts'
import type { Condition } from './query-tree.ts'

/**
 * @param isNegated below a NOT: there what is undefined must stay undefined, and no index helps
 * @throws PenstockError REGISTRY_QUERY_INVALID where a time cannot be read
 */
export function conditionSql(condition: Condition, parameters: Parameters, isNegated = false): string {
  switch (condition.kind) {
    case 'and':
    case 'or': {
      const left = conditionSql(condition.left, parameters, isNegated)
      return `(${left} ${condition.kind.toUpperCase()} ${conditionSql(condition.right, parameters, isNegated)})`
    }
    case 'not':
      // NULL (undefined) stays not true under NOT, as the hub has it.
      return `(NOT ${conditionSql(condition.condition, parameters, true)})`
    case 'defined': {
      const field = parameters.fieldOf(condition.path)
      return field ? `(${sqlOf(field, parameters)} IS NOT NULL)` : 'false'
    }
    case 'in': {
      const tests = condition.values.map((value) =>
        comparisonSql('=', condition.operand, { kind: 'literal', value }, parameters, isNegated),
      )
      return `(${tests.join(' OR ')})`
    }
    case 'compare':
      return comparisonSql(condition.operator, condition.left, condition.right, parameters, isNegated)
    case 'text': {
      const field = parameters.fieldOf(condition.path)
      if (field?.type === 'text') return textSql(condition, field.sql, parameters)
      if (field?.type !== 'json') return undefinedSql
      const sql = sqlOf(field, parameters)
      const test = textSql(condition, `(${sql} #>> '{}')`, parameters)
      return `(CASE WHEN jsonb_typeof(${sql}) = 'string' THEN ${test} END)`
    }
  }
}

function textSql(condition: Extract<Condition, { kind: 'text' }>, sql: string, parameters: Parameters): string {
  const text = `${parameters.add(condition.text)}::text`
  switch (condition.function) {
    case 'STARTSWITH':
      return `starts_with(${sql}, ${text})`
    case 'ENDSWITH':
      return `(right(${sql}, length(${text})) = ${text})`
    case 'CONTAINS':
      return `(strpos(${sql}, ${text}) > 0)`
  }
}
