/** A stretch of a condition's text: offsets of its first code unit and of the one behind its last. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** Lines and columns begin at 1; a column is one UTF-16 code unit; only a line feed ends a line. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** From `start` to before `end`. */
export interface Location {
  readonly start: Position
  readonly end: Position
}

/** What is wrong with a condition, for whoever wrote it. An error keeps it from being used, a warning does not. */
export interface Problem {
  readonly message: string
  readonly severity: 'error' | 'warning'
  readonly location: Location
  /** What could stand there instead. */
  readonly expected?: string
  /** What was probably meant, as an instruction. */
  readonly suggestion?: string
}

/** A problem before its place has lines and columns. */
export interface Finding {
  readonly message: string
  readonly span: Span
  readonly expected?: string
  readonly suggestion?: string
}

/** Ends the reading of a condition whose text cannot be understood any further. */
export class SyntaxFault extends Error {
  readonly finding: Finding

  constructor(finding: Finding) {
    super(finding.message)
    this.finding = finding
  }
}

export function problemFrom(text: string, finding: Finding, severity: Problem['severity']): Problem {
  const { message, span, expected, suggestion } = finding
  const hints = { ...(expected !== undefined && { expected }), ...(suggestion !== undefined && { suggestion }) }
  return { message, severity, location: locationOf(text, span), ...hints }
}

/** With what could stand there, and what was probably meant. */
export function problemText({ message, expected, suggestion }: Problem): string {
  return [message, expected && `expected: ${expected}`, suggestion].filter(Boolean).join('; ')
}

/** A part of a condition as messages show it. */
export const shortened = (part: string): string => (part.length > 40 ? `${part.slice(0, 39)}…` : part)

export function locationOf(text: string, { start, end }: Span): Location {
  return { start: positionOf(text, start), end: positionOf(text, end) }
}

function positionOf(text: string, offset: number): Position {
  let line = 1
  let lineStart = 0
  for (let feed = text.indexOf('\n'); feed >= 0 && feed < offset; feed = text.indexOf('\n', lineStart)) {
    line++
    lineStart = feed + 1
  }
  return { line, column: offset - lineStart + 1 }
}
