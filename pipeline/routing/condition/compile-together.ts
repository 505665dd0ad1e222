/**
 * Many conditions as few functions: what a hundred routes ask of a message costs a tenth of a hundred calls, since all they read is at
 * hand in variables and one path of a body is read once.
 */
import { functionOf, generateInto } from './compile.ts'
import type { Condition } from './condition.ts'
import type { Facts } from './facts.ts'

/**
 * Asks the conditions one after the other about one message. The indexes of those that are true are written to `trues`, how many is
 * returned; of each that is undefined, `undefinedCounts` is raised at its index. Never throws.
 */
export type AskTogether = (facts: Facts, trues: Uint32Array, undefinedCounts: Uint32Array) => number

/** Writes behind the first `length` of `trues`. */
type AskSome = (facts: Facts, trues: Uint32Array, undefinedCounts: Uint32Array, length: number) => number

/** Beyond some 60 KB of bytecode V8 does not optimize a function; a line is some 20 bytes. */
const linesMax = 1_000

/** @param conditions with one `Needs`; an index is a place in this list */
export function compileTogether(conditions: readonly Condition[]): AskTogether {
  const parts: AskSome[] = []
  let lines: string[] = []
  let called: unknown[] = []
  const bodyPaths = new Set<number>()
  const close = () => {
    if (lines.length > 0) parts.push(functionOf({ source: sourceOf(lines, bodyPaths), called }))
    lines = []
    called = []
    bodyPaths.clear()
  }
  for (const [index, condition] of conditions.entries()) {
    if (condition.plan === undefined) {
      close()
      parts.push(askingOne(condition, index))
      continue
    }
    const { checked, indexes } = condition.plan
    const { lines: own, verdict } = generateInto(called, checked, indexes, (path) => {
      bodyPaths.add(path)
      return `(body${path} === unread ? body${path} = facts.body(${path}) : body${path})`
    })
    lines.push('{', ...own, `const verdict = ${verdict}`)
    lines.push(`if (verdict === true) trues[length++] = ${index}`)
    lines.push(`else if (verdict === undefined) undefinedCounts[${index}]++`, '}')
    if (lines.length > linesMax) close()
  }
  close()
  return (facts, trues, undefinedCounts) => {
    let length = 0
    for (let index = 0; index < parts.length; index++)
      length = (parts[index] as AskSome)(facts, trues, undefinedCounts, length)
    return length
  }
}

function sourceOf(lines: readonly string[], bodyPaths: ReadonlySet<number>): string {
  const unread = Array.from(bodyPaths, (path) => `let body${path} = unread`)
  return [
    "'use strict'",
    'const unread = {}',
    'return (facts, trues, undefinedCounts, length) => {',
    ...unread,
    ...lines,
    'return length',
    '}',
  ].join('\n')
}

function askingOne({ evaluate }: Condition, condition: number): AskSome {
  return (facts, trues, undefinedCounts, length) => {
    const verdict = evaluate(facts)
    if (verdict === undefined) undefinedCounts[condition] = (undefinedCounts[condition] ?? 0) + 1
    if (verdict !== true) return length
    trues[length] = condition
    return length + 1
  }
}
