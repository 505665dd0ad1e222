import { describe, expect, test } from 'vitest'
import { createLogger } from './logger.ts'
import { Metrics } from './metrics.ts'

const table = {
  things_total: { type: 'counter', help: 'Things', labels: ['reason'] },
  level: { type: 'gauge', help: 'Level', labels: [] },
} as const

describe('metrics', () => {
  test('a series is made once and kept', () => {
    const metrics = new Metrics(table)
    metrics.series('things_total', { reason: 'a' }).add(2)
    metrics.series('things_total', { reason: 'a' }).add(3)
    expect(metrics.samples()).toEqual([['things_total', 'reason="a"', 5]])
  })

  test('samples of several processes are summed by series, in the Prometheus text format', () => {
    const one = new Metrics(table)
    const two = new Metrics(table)
    one.series('things_total', { reason: 'a' }).add(1)
    two.series('things_total', { reason: 'a' }).add(2)
    two.series('things_total', { reason: 'b"\\\n' }).add(4)
    two.series('level').set(7)
    expect(one.render([one.samples(), two.samples()])).toBe(
      '# HELP things_total Things\n# TYPE things_total counter\nthings_total{reason="a"} 3\nthings_total{reason="b\\"\\\\\\n"} 4\n' +
        '# HELP level Level\n# TYPE level gauge\nlevel 7\n',
    )
  })
})

describe('logger', () => {
  test('one line an event; fields with spaces are quoted, so that no value can begin a line of its own', () => {
    const lines: string[] = []
    const logger = createLogger('area', 'info', (line) => lines.push(line))
    logger.info('text', {
      a: 1,
      b: 'two words',
      c: 'x\ny',
      d: undefined,
      error: new Error('bad', { cause: new Error('why') }),
    })
    logger.debug('not important enough')
    expect(lines.length).toBe(1)
    expect(lines[0]).toMatch(/^\S+Z info {2}area: text a=1 b="two words" c="x\\ny" error="bad \(why\)"$/)
  })
})
