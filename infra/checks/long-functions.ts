import { parseAst } from 'vitest/node'

export interface LongFunction {
  /** Of its first word or parameter, from 1. */
  readonly line: number
  readonly lines: number
}

const functionTypes: readonly unknown[] = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']

/** The functions and methods of a source text that take more than `linesMax` lines; those inside another one count for both. */
export function longFunctions(source: string, linesMax: number, lang: 'ts' | 'tsx' = 'ts'): LongFunction[] {
  const found: LongFunction[] = []
  const lineAt = (offset: unknown) => source.slice(0, Number(offset)).split('\n').length
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    if ('type' in node && 'start' in node && 'end' in node && functionTypes.includes(node.type)) {
      const line = lineAt(node.start)
      const lines = lineAt(node.end) - line + 1
      if (lines > linesMax) found.push({ line, lines })
    }
    for (const child of Object.values(node)) visit(child)
  }
  visit(parseAst(source, { lang }))
  return found
}
