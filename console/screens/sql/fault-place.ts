/** Where in a statement ClickHouse's fault is. Pure. */

import type { Place } from './editor/statement-range.ts'

/** @returns `undefined`: the fault names no place */
export function placeOf(fault: string, statement: string): Place | undefined {
  return syntaxPlace(fault, statement) ?? namePlace(fault, statement)
}

/** `Syntax error: failed at position 8 (FROMM)`: counted in bytes, from 1. */
function syntaxPlace(fault: string, statement: string): Place | undefined {
  const found = /failed at position (\d+)(?: \(((?:[^()]|\([^()]*\))*)\))?/.exec(fault)
  if (found === null) return undefined
  const from = lengthOfBytes(statement, Number(found[1]) - 1)
  if (from >= statement.length) return lastWord(statement)
  const token = found[2] ?? ''
  const word =
    token !== '' && statement.startsWith(token, from) ? token : (/^(\w+|\S)/.exec(statement.slice(from))?.[0] ?? '')
  return { from, to: Math.min(from + Math.max(word.length, 1), statement.length) }
}

/** `Unknown expression identifier 'bodi' in scope …`, and the like of tables and functions. */
function namePlace(fault: string, statement: string): Place | undefined {
  const said =
    /(?:Unknown (?:\w+ )*(?:identifier|function|table|database)|Function with name|Table|Database)[^'`\w]*['`]?([\w.]+)/
  const name = said.exec(fault)?.[1]
  if (name === undefined) return undefined
  const found = new RegExp(`(?<![\\w.])${name.replaceAll('.', '\\.')}(?![\\w])`).exec(statement)
  return found === null ? undefined : { from: found.index, to: found.index + name.length }
}

/** How many UTF-16 units the first so many bytes of UTF-8 are. */
function lengthOfBytes(text: string, bytes: number): number {
  const encoded = new TextEncoder().encode(text)
  return new TextDecoder().decode(encoded.subarray(0, bytes)).length
}

/** The end is missing something: what stands before it is marked. */
function lastWord(statement: string): Place | undefined {
  const found = /(\w+|\S)\s*$/.exec(statement)
  return found === null ? undefined : { from: found.index, to: found.index + (found[1] ?? '').length }
}

/** For people, from 1. */
export function lineAndColumn(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset).split('\n')
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
}
