import { foldName, type Path, type PathStep } from './needs.ts'
import { type Span, SyntaxFault, shortened } from './problem.ts'

/**
 * Reads `a.b[0].c`: names with a dot between, each with any number of indexes behind it. No wildcards, no slices, no quotes.
 * @param offset where `text` begins in the condition
 * @throws SyntaxFault at the step that is none
 */
export function pathFrom(text: string, offset: number): Path {
  const steps: PathStep[] = []
  let start = offset
  for (const part of text.split('.')) {
    const span = { start, end: start + part.length }
    const [, name, indexes = ''] = /^([^[\]]+)((?:\[\d+\])*)$/.exec(part) ?? []
    if (name === undefined || name === '*') throw new SyntaxFault(findingOf(part, span))
    steps.push(name, ...Array.from(indexes.matchAll(/\d+/g), ([digits]) => Number(digits)))
    start = span.end + 1
  }
  return steps
}

/** A path of a twin, whose names have no case. */
export function twinPathFrom(text: string, offset: number): Path {
  return pathFrom(text, offset).map((step) => (typeof step === 'string' ? foldName(step) : step))
}

/**
 * The path that `twin_change_includes` asks for, in the body of a change: below `tags`, `properties.desired` or `properties.reported`.
 * @throws SyntaxFault if it is none
 */
export function twinChangePathFrom(text: string, span: Span): Path {
  const [prefix] = /^(?:tags|properties\.(?:desired|reported))\.(?=.)/i.exec(text) ?? []
  if (prefix === undefined) {
    throw new SyntaxFault({
      message: `${shortened(text)} is no path below a part of a twin`,
      span,
      expected: 'tags.…, properties.desired.… or properties.reported.…',
    })
  }
  return pathFrom(prefix.toLowerCase() + text.slice(prefix.length), span.start)
}

function findingOf(part: string, span: Span) {
  if (part === '') {
    // An empty step has no width of its own: what is shown is the dot before it.
    return {
      message: 'the path has a dot without a name behind it',
      span: { start: span.start - 1, end: span.end },
      expected: 'a name',
    }
  }
  return {
    message: `${shortened(part)} is no step of a path`,
    span,
    expected: 'a name, or a name with an index: list[0]',
  }
}
