import { describe, expect, test } from 'vitest'
import { mutantsOf, planted } from './mutants.ts'

/** What a line becomes, one entry a mutant. */
const mutated = (source: string): string[] => mutantsOf(source).map((mutant) => planted(source, mutant))

describe('faults that are planted', () => {
  test.each([
    ['x = a < b', ['x = a <= b']],
    ['x = a <= b', ['x = a < b']],
    ['x = a > b', ['x = a >= b']],
    ['x = a === b', ['x = a !== b']],
    ['x = a && b', ['x = a || b']],
    ['x = a - b', ['x = a + b']],
    ['x = a % b', ['x = a * b']],
    ['x = a >>> b', ['x = a << b']],
    ['x = a / 2 /* / */', ['x = a * 2 /* / */']],
    ['x = Math.min(a, b)', ['x = Math.max(a, b)']],
    ['x = true', ['x = false']],
    ['x = [0, 1, 2, 10]', ['x = [1, 1, 2, 10]', 'x = [0, 0, 2, 10]']],
    ['x = a ? b : c', ['x = !(a) ? b : c']],
    ['x = a < b ? b : c', ['x = a <= b ? b : c']],
    ['x = (a as 0 | 1) < b', ['x = (a as 0 | 1) <= b']],
  ])('%s', (source, faults) => {
    expect(mutated(`const y = () => (${source})`)).toEqual(faults.map((fault) => `const y = () => (${fault})`))
  })

  test.each([
    ['call()', [';']],
    ['x += a', [';', 'x -= a']],
    ['await call()', [';']],
    ['if (call()) x()', ['if (!(call())) x()', 'if (call()) ;']],
    ['for (;;) break', ['for (;;) ;']],
  ])('%s', (source, faults) => {
    expect(mutated(source).sort()).toEqual([...faults].sort())
  })

  test('a function of several statements returns early, and its own returns go where they give nothing', () => {
    expect(mutated('function f() { if (a) return; b() }')).toEqual([
      'function f() { return; if (a) return; b() }',
      'function f() { if (!(a)) return; b() }',
      'function f() { if (a) ; b() }',
      'function f() { if (a) return; ; }',
    ])
  })

  test.each([
    ['texts', "const x = a + 'b'"],
    ['templates', 'const x = a + `b`'],
    ['types', 'type X = 0 | 1; interface Y { a(b: true): 1 }'],
    ['imports', "import { a } from './a.ts'"],
    ['log lines', "this.#logger.warn('text', { count: 1 })"],
    ['returns with a value', 'const f = function () { return a }'],
  ])('%s are left alone', (_name, source) => {
    expect(mutated(source)).toEqual([])
  })

  test('lines are counted from one, also behind letters of several bytes', () => {
    expect(mutantsOf('// → é\n\nx = a < b').map(({ line, operator }) => [line, operator])).toEqual([
      [3, 'statement'],
      [3, 'boundary'],
    ])
  })
})
