import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { parseQuery } from './parse-query.ts'
import type { Condition, Operand } from './query-tree.ts'

/** A condition with all its brackets. */
function textOf(condition: Condition | undefined): string {
  switch (condition?.kind) {
    case 'and':
    case 'or':
      return `(${textOf(condition.left)} ${condition.kind} ${textOf(condition.right)})`
    case 'not':
      return `not ${textOf(condition.condition)}`
    case 'compare':
      return `${operandText(condition.left)}${condition.operator}${operandText(condition.right)}`
    case 'in':
      return `${operandText(condition.operand)} in ${JSON.stringify(condition.values)}`
    case 'defined':
      return `defined ${condition.path}`
    case 'text':
      return `${condition.function} ${condition.path} ${JSON.stringify(condition.text)}`
    case undefined:
      return ''
  }
}

const operandText = (operand: Operand): string =>
  operand.kind === 'path' ? operand.path : JSON.stringify(operand.value)

const where = (condition: string): string => textOf(parseQuery(`SELECT * FROM devices WHERE ${condition}`).where)
const invalid = expect.objectContaining({ code: 'REGISTRY_QUERY_INVALID' })

describe('conditions of a query', () => {
  test.each([
    ['a=1 AND b=1 OR c=1', '((a=1 and b=1) or c=1)'],
    ['a=1 OR b=1 AND c=1', '(a=1 or (b=1 and c=1))'],
    ['a=1 OR b=1 AND c=1 OR d=1', '((a=1 or (b=1 and c=1)) or d=1)'],
    ['a=1 AND b=1 OR c=1 AND d=1', '((a=1 and b=1) or (c=1 and d=1))'],
    ['a=1 AND b=1 AND c=1', '((a=1 and b=1) and c=1)'],
    ['(a=1 OR b=1) AND c=1', '((a=1 or b=1) and c=1)'],
    ['a=1 AND (b=1 OR c=1)', '(a=1 and (b=1 or c=1))'],
    ['NOT a=1 AND b=1', '(not a=1 and b=1)'],
    ['NOT a=1 OR b=1', '(not a=1 or b=1)'],
    ['NOT (a=1 AND b=1)', 'not (a=1 and b=1)'],
    ['NOT NOT a=1', 'not not a=1'],
    ['((a=1))', 'a=1'],
  ])('%s binds as %s', (condition, tree) => {
    expect(where(condition)).toBe(tree)
  })

  test.each([
    ['a = b', 'a=b'],
    ['1 = a', '1=a'],
    [`a != 'x'`, 'a!="x"'],
    ['a <> "x"', 'a!="x"'],
    ['a < -1.5e3', 'a<-1500'],
    ['a <= 1', 'a<=1'],
    ['a > TRUE', 'a>true'],
    ['a >= false', 'a>=false'],
    [`a.b.c = 'it\\'s \\\\'`, `a.b.c="it's \\\\"`],
    [`a IN ['x', 1, true]`, 'a in ["x",1,true]'],
    [`a NOT IN ['x']`, 'not a in ["x"]'],
    [`a nin ['x']`, 'not a in ["x"]'],
    ['IS_DEFINED(a.b)', 'defined a.b'],
    [`startsWith(a, 'x')`, 'STARTSWITH a "x"'],
    [`ENDSWITH(a, 'x') AND CONTAINS(a, "y")`, '(ENDSWITH a "x" and CONTAINS a "y")'],
  ])('%s is read as %s', (condition, tree) => {
    expect(where(condition)).toBe(tree)
  })

  test.each([
    'a',
    'a =',
    '= a',
    'a = 1 b',
    'a = 1 AND',
    'OR a = 1',
    '(a = 1',
    'a = 1)',
    'a ! 1',
    'a IN []',
    'a IN [b]',
    'a IN [1',
    'a IN 1',
    'a NOT 1',
    'IS_DEFINED a',
    'IS_DEFINED(1)',
    'IS_DEFINED(a',
    'IS_DEFINED(a, 1)',
    'STARTSWITH(a)',
    'STARTSWITH(a, b)',
    'STARTSWITH(a, 1)',
    'LENGTH(a)',
    `a = 'x`,
    'a ( 1',
  ])('%s is refused', (condition) => {
    expect(() => where(condition)).toThrow(invalid)
  })

  test('conditions nest and add up to their bounds, no further', () => {
    const nested = (depth: number) => where(`${'('.repeat(depth)}a=1${')'.repeat(depth)}`)
    expect(nested(32)).toBe('a=1')
    expect(() => nested(33)).toThrow(/nests conditions deeper than 32/)
    expect(where(`${'NOT '.repeat(32)}a=1`)).toContain('a=1')
    expect(() => where(`${'NOT '.repeat(33)}a=1`)).toThrow(/nests conditions deeper than 32/)
    const many = (count: number) => where(Array.from({ length: count }, () => 'a=1').join(' OR '))
    expect(many(200).match(/a=1/g)).toHaveLength(200)
    expect(() => many(201)).toThrow(/more than 200 conditions/)
    const values = (count: number) => `a IN [${Array.from({ length: count }, () => '1').join()}] AND a=1`
    expect(where(values(198))).toContain('a=1')
    expect(() => where(values(199))).toThrow(/more than 200 conditions/)
  })
})

describe('the rest of a query', () => {
  test('is whole documents, or named items', () => {
    expect(parseQuery('select * from Devices')).toEqual({
      from: 'devices',
      items: undefined,
      top: undefined,
      where: undefined,
      groupBy: [],
    })
    expect(parseQuery('SELECT TOP 3 a.b, c AS d, COUNT(), count(*) AS n FROM devices.modules GROUP BY c, a.b')).toEqual(
      {
        from: 'devices.modules',
        items: [
          { kind: 'path', path: 'a.b', name: 'a.b' },
          { kind: 'path', path: 'c', name: 'd' },
          { kind: 'count', name: 'count' },
          { kind: 'count', name: 'n' },
        ],
        top: 3,
        where: undefined,
        groupBy: ['c', 'a.b'],
      },
    )
    expect(parseQuery('SELECT TOP 0 * FROM devices').top).toBe(0)
  })

  test.each([
    '',
    'FROM devices',
    'SELECT FROM devices',
    'SELECT * devices',
    'SELECT * FROM',
    'SELECT * FROM jobs',
    'SELECT *, a FROM devices',
    'SELECT a, FROM devices',
    'SELECT COUNT(a) FROM devices',
    'SELECT COUNT( FROM devices',
    'SELECT a AS 1 FROM devices',
    'SELECT TOP -1 * FROM devices',
    'SELECT TOP 1.5 * FROM devices',
    'SELECT TOP a * FROM devices',
    'SELECT * FROM devices WHERE',
    'SELECT * FROM devices GROUP a',
    'SELECT * FROM devices GROUP BY',
    'SELECT * FROM devices more',
    'SELECT * FROM devices;',
  ])('%s is refused', (text) => {
    expect(() => parseQuery(text)).toThrow(invalid)
  })

  test('has a bounded length in bytes', () => {
    const ofBytes = (bytes: number) => `SELECT * FROM devices${' '.repeat(bytes - 21)}`
    expect(parseQuery(ofBytes(limits.queryBytesMax)).from).toBe('devices')
    expect(() => parseQuery(ofBytes(limits.queryBytesMax + 1))).toThrow(/is longer than/)
    expect(() => parseQuery(`${ofBytes(limits.queryBytesMax - 1)}é`)).toThrow(/is longer than/)
  })

  test('a fault is told with its place', () => {
    expect(() => parseQuery('SELECT * FROM devices WHERE a ==')).toThrow(/at character 31: expected a name or value/)
    expect(() => parseQuery('SELECT * FROM devices WHERE a = 1 b')).toThrow(/at character 33: expected the end/)
    expect(() => parseQuery('SELECT * FROM devices ?')).toThrow(/cannot be read at " \?"/)
  })
})
