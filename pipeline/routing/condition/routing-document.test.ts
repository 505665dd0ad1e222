/** docs/ROUTING.md says what the code does: its examples, and the functions, names and bounds that it lists. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { type CaseMessage, type Expected, outcomeOf, routedFrom } from './cases-fixture.ts'
import { functions } from './functions.ts'
import { systemPropertyNames } from './system-properties.ts'

const page = readFileSync(join(import.meta.dirname, '../../../docs/ROUTING.md'), 'utf8')
const [, json = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? []
const { body, ...rest } = JSON.parse(json) as Omit<CaseMessage, 'body'> & { readonly body: unknown }
const message = routedFrom({ ...rest, body: JSON.stringify(body) })

/** Rows of tables that begin with a condition and what it is. In a table a bar within code is escaped. */
const examples = Array.from(
  page.matchAll(/^\| `((?:[^`\\]|\\.)+)` \| (true|false|undefined|error) \|/gm),
  ([, condition = '', expected]) => ({ condition: condition.replaceAll('\\|', '|'), expected: expected as Expected }),
)

describe('the page about conditions', () => {
  test('has examples of every outcome', () => {
    expect(examples.length).toBeGreaterThan(40)
    expect(new Set(examples.map(({ expected }) => expected)).size).toBe(4)
  })

  test.each(examples)('$condition is $expected', ({ condition, expected }) => {
    expect(outcomeOf(condition, message)).toBe(expected)
    expect(outcomeOf(condition, message, { interpreted: true })).toBe(expected)
  })

  test('names every function and every system property', () => {
    for (const name of functions.keys()) expect(page, name).toMatch(new RegExp(`\`${name}[\`(]`))
    for (const name of systemPropertyNames) expect(page, name).toContain(`\`$${name}\``)
  })

  test('has the bounds that hold', () => {
    const [bounds = ''] = page.slice(page.indexOf('### Bounds')).split('\n## ')
    const numbers = Array.from(bounds.matchAll(/\d[\d,]*/g), ([digits]) => Number(digits.replaceAll(',', '')))
    expect(numbers).toEqual([
      limits.conditionBytesMax,
      limits.conditionNodesMax,
      limits.conditionDepthMax,
      limits.conditionBodyPathsMax,
    ])
  })
})
