import { expect, test } from 'vitest'
import { type History, joined } from './history.ts'

const historyOf = (times: readonly number[], series: History['series']): History => ({
  stepMs: 5,
  times,
  series,
  quantiles: [{ name: 'q', p50: times, p95: times, p99: times }],
})
const line = (name: string, values: readonly (number | undefined)[], group?: string) => ({ name, group, values })

test('later steps stand behind those that are known; a line that begins or ends has gaps', () => {
  const known = historyOf([1, 2], [line('a', [10, 20]), line('gone', [1, 1])])
  const both = joined(known, historyOf([3], [line('a', [30]), line('a', [7], 'of a group')]))
  expect(both.times).toEqual([1, 2, 3])
  expect(both.series).toEqual([
    line('a', [10, 20, 30]),
    line('gone', [1, 1, undefined]),
    line('a', [undefined, undefined, 7], 'of a group'),
  ])
  expect(both.quantiles[0]?.p99).toEqual([1, 2, 3])
})

test('what is older than an hour goes', () => {
  const times = Array.from({ length: 720 }, (_, index) => index)
  const both = joined(historyOf(times, [line('a', times)]), historyOf([720, 721], [line('a', [720, 721])]))
  expect([both.times.length, both.times[0], both.series[0]?.values.at(-1), both.series[0]?.values.length]).toEqual([
    720, 2, 721, 720,
  ])
})
