import { expect, test } from 'vitest'
import { cases } from './cases-fixture.ts'
import { generate } from './compile.ts'
import { enterNeeds } from './need-indexes.ts'
import { Needs } from './needs.ts'
import { parseCondition } from './parser.ts'
import { checkTypes } from './type-check.ts'

function sourceOf(condition: string): string {
  const { tree } = parseCondition(condition)
  if (tree === undefined) return ''
  return generate(checkTypes(condition, tree, 'DeviceMessages'), enterNeeds(tree, new Needs())).source
}

/** All that generated code is made of, beside its constants. */
const ownWords =
  /use strict|return|facts\.(?:property|system|body|twin)\(\d+\)|facts|const|let|if|typeof|undefined|true|false|null|absent|equality|order|isUsable|isDefined|Infinity|(?:value|function)\d+/g

test('names, paths and comments of a condition are nowhere in the code that is made of it', () => {
  const source = sourceOf(
    'evil /* evil */ = $evil AND {$evil} <> evil OR $body.evil.evil > 1 OR $twin.evil = 1 OR is_null($body.evil)',
  )
  expect(source).toContain('facts.body(0)')
  expect(source.toLowerCase()).not.toContain('evil')
})

test('texts of a condition are in it as JSON, whatever they hold', () => {
  const text = `'\\' + process.exit() + \\" \\u2028 \\u0000 \n \${x} \`'`
  expect(sourceOf(`level = ${text}`)).toContain(JSON.stringify(`' + process.exit() + " \u2028 \u0000 \n \${x} \``))
})

test('the code of every case is made of these words, numbers, signs and texts as JSON', () => {
  const readable = cases.filter(({ expect }) => expect !== 'error')
  for (const { condition, source } of readable) {
    if (source !== undefined) continue
    const rest = sourceOf(condition)
      .replaceAll(/"(?:[^"\\]|\\.)*"/g, '')
      .replaceAll(ownWords, '')
      .replaceAll(/'(?:string|number|boolean|=|<>|<=?|>=?|)'/g, '')
    expect(rest, condition).toMatch(/^[\s\d.e()[\]{},?:;=!<>+*/%&|-]*$/)
  }
})

test('constants are compared without asking for their type', () => {
  expect(sourceOf('$body.t > 30')).toContain("typeof value0 === 'number' ? value0 > (30) : undefined")
  expect(sourceOf("level = 'x'")).toContain(`typeof value0 === 'string' ? value0 === "x" : undefined`)
  expect(sourceOf("$body.s = 'x'")).toContain('isUsable(value0) ? value0 === "x" : undefined')
  expect(sourceOf("'x' <> $body.s")).toContain('isUsable(value0) ? "x" !== value0 : undefined')
})
