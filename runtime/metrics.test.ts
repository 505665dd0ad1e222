import { describe, expect, test } from 'vitest'
import { createLogger } from './logger.ts'
import { Metrics } from './metrics.ts'

const table = {
  things_total: { type: 'counter', help: 'Things', labels: ['reason'] },
  level: { type: 'gauge', help: 'Level', labels: [] },
  wait_seconds: { type: 'histogram', help: 'Wait', labels: ['stage'], buckets: [0.1, 1] },
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

describe('a histogram', () => {
  test('counts each value in the first bucket that holds it, many at a time', () => {
    const metrics = new Metrics(table)
    const waits = metrics.histogram('wait_seconds', { stage: 'a' })
    waits.observe(0.1, 3)
    waits.observe(0.11)
    waits.observe(1.5, 2)
    expect(metrics.samples()).toEqual([
      ['wait_seconds_bucket', 'stage="a",le="0.1"', 3],
      ['wait_seconds_bucket', 'stage="a",le="1"', 4],
      ['wait_seconds_bucket', 'stage="a",le="+Inf"', 6],
      ['wait_seconds_sum', 'stage="a"', expect.closeTo(3.41)],
      ['wait_seconds_count', 'stage="a"', 6],
    ])
  })

  test('of several processes is summed as counters are', () => {
    const [one, two] = [new Metrics(table), new Metrics(table)]
    one.histogram('wait_seconds', { stage: 'a' }).observe(0.5, 2)
    two.histogram('wait_seconds', { stage: 'a' }).observe(2)
    two.histogram('wait_seconds', { stage: 'b' }).observe(0)
    expect(one.render([one.samples(), two.samples()])).toBe(
      [
        '# HELP wait_seconds Wait',
        '# TYPE wait_seconds histogram',
        'wait_seconds_bucket{stage="a",le="0.1"} 0',
        'wait_seconds_bucket{stage="a",le="1"} 2',
        'wait_seconds_bucket{stage="a",le="+Inf"} 3',
        'wait_seconds_bucket{stage="b",le="0.1"} 1',
        'wait_seconds_bucket{stage="b",le="1"} 1',
        'wait_seconds_bucket{stage="b",le="+Inf"} 1',
        'wait_seconds_sum{stage="a"} 3',
        'wait_seconds_sum{stage="b"} 0',
        'wait_seconds_count{stage="a"} 3',
        'wait_seconds_count{stage="b"} 1',
        '',
      ].join('\n'),
    )
  })

  test('is no counter, and a counter none', () => {
    const metrics = new Metrics(table)
    expect(() => metrics.series('wait_seconds')).toThrow('wait_seconds is a counter')
    expect(() => metrics.histogram('level')).toThrow('level is a histogram')
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
