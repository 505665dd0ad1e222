/** A condition as a tree. Brackets leave no trace in it but the spans; each node knows where in the text it stands. */
import type { Path } from './needs.ts'
import type { Span } from './problem.ts'

export type Node =
  | Literal
  | PropertyNode
  | SystemPropertyNode
  | BodyNode
  | TwinNode
  | UnreadableNode
  | TwinChangeNode
  | UnaryNode
  | BinaryNode
  | CallNode

/** `true`, `null`, `undefined`, a number or a text that stands in the condition. */
export interface Literal {
  readonly kind: 'literal'
  readonly value: string | number | boolean | null | undefined
  readonly span: Span
}

export interface PropertyNode {
  readonly kind: 'property'
  readonly name: string
  readonly span: Span
}

/** `$name`, or `{$name}`, which does not fall back to the application property of the name `$name`. */
export interface SystemPropertyNode {
  readonly kind: 'system'
  /** Without the dollar sign. */
  readonly name: string
  readonly braced: boolean
  readonly span: Span
}

export interface BodyNode {
  readonly kind: 'body'
  readonly path: Path
  readonly span: Span
}

export interface TwinNode {
  readonly kind: 'twin'
  readonly path: Path
  readonly span: Span
}

/** `$body`, `$body[0]`, `$twin` and system names with an index: they may be written, and never have a value. */
export interface UnreadableNode {
  readonly kind: 'unreadable'
  readonly span: Span
}

/** `twin_change_includes(path)`; the path is one of the body, which holds the change. */
export interface TwinChangeNode {
  readonly kind: 'twin-change'
  readonly path: Path
  readonly span: Span
  /** The name of the function. */
  readonly nameSpan: Span
}

export interface UnaryNode {
  readonly kind: 'unary'
  readonly operator: 'NOT' | '-'
  readonly operand: Node
  readonly span: Span
  readonly operatorSpan: Span
}

export type EqualityOperator = '=' | '<>'
export type OrderOperator = '<' | '<=' | '>' | '>='
export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%'
export type LogicOperator = 'AND' | 'OR'
export type BinaryOperator = EqualityOperator | OrderOperator | ArithmeticOperator | LogicOperator | '||' | '??'

export interface BinaryNode {
  readonly kind: 'binary'
  /** `!=` is `<>` here. */
  readonly operator: BinaryOperator
  readonly left: Node
  readonly right: Node
  readonly span: Span
  readonly operatorSpan: Span
}

export interface CallNode {
  readonly kind: 'call'
  /** In lower case; whether there is such a function is not the parser's to say. */
  readonly name: string
  readonly arguments: readonly Node[]
  readonly span: Span
  readonly nameSpan: Span
}
