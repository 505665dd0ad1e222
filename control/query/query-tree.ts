/**
 * The hub's query language as a tree. It asks about identities and their twins, and what jobs made of devices; of the latter whole ones only.
 *
 *   query      SELECT [TOP n] ( * | item {, item} ) FROM devices | devices.modules | devices.jobs [WHERE condition] [GROUP BY path {, path}]
 *   item       path [AS name] | COUNT() [AS name] | AVG(path) | SUM(path) | MIN(path) | MAX(path) [AS name]
 *   condition  comparison | IN | call | NOT condition | condition AND condition | condition OR condition | ( condition )
 *   comparison operand ( = | != | <> | < | <= | > | >= ) operand
 *   IN         operand [NOT] IN [ literal {, literal} ]           (NIN too)
 *   call       IS_DEFINED(path) | STARTSWITH(path, text) | ENDSWITH(path, text) | CONTAINS(path, text)
 *   path       name {. name}, configurations.[[id]].status
 *   operand    path | 'text' | "text" | number | true | false
 *
 * Words and path names are read without regard to case; below tags, properties.desired and properties.reported keys are as they are
 * written. A path that an identity does not have is undefined: every condition on it is false, under NOT too. So is a comparison of
 * values of two types, or of objects and lists.
 */
export type Literal = string | number | boolean

export type Operand =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'literal'; readonly value: Literal }

export type CompareOperator = '=' | '!=' | '<' | '<=' | '>' | '>='

/** Of numbers; what is none is left out. */
export type AggregateFunction = 'AVG' | 'SUM' | 'MIN' | 'MAX'

export type TextFunction = 'STARTSWITH' | 'ENDSWITH' | 'CONTAINS'

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'not'; readonly condition: Condition }
  | { readonly kind: 'compare'; readonly operator: CompareOperator; readonly left: Operand; readonly right: Operand }
  | { readonly kind: 'in'; readonly operand: Operand; readonly values: readonly Literal[] }
  | { readonly kind: 'defined'; readonly path: string }
  | { readonly kind: 'text'; readonly function: TextFunction; readonly path: string; readonly text: string }

export type SelectItem =
  | { readonly kind: 'path'; readonly path: string; readonly name: string }
  | { readonly kind: 'count'; readonly name: string }
  | { readonly kind: 'aggregate'; readonly function: AggregateFunction; readonly path: string; readonly name: string }

export type QuerySource = 'devices' | 'devices.modules' | 'devices.jobs'

export interface Query {
  readonly from: QuerySource
  /** `undefined`: whole documents. */
  readonly items: readonly SelectItem[] | undefined
  readonly top: number | undefined
  readonly where: Condition | undefined
  readonly groupBy: readonly string[]
}
