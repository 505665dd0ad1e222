import { expect, test } from 'vitest'
import { type Comparison, comparisonTable, losses, lossesTable, type MeasuredOf } from './peer-tables.ts'

const rate = { name: 'messages/s', better: 'more' } as const
const delay = { name: 'p99, ms', better: 'less' } as const
const comparison: Comparison = {
  scenario: 'full speed',
  conditions: 'All on one core.',
  figures: [rate, delay],
  targets: [
    { name: 'sink', keeps: 'nothing', side: 'generator' },
    { name: 'ours', keeps: 'all', side: 'ours' },
    { name: 'ours on Kafka', keeps: 'all', side: 'ours' },
    { name: 'peer', keeps: 'nothing', side: 'peer' },
    { name: 'other', keeps: 'nothing', side: 'peer' },
  ],
}

/** Least, median and most by target and figure. */
const figuresOf =
  (values: Readonly<Record<string, readonly [number, number, number]>>): MeasuredOf =>
  (_, target, figure) => {
    const found = values[`${target} ${figure}`]
    return found && { least: found[0], median: found[1], most: found[2] }
  }

const measured = figuresOf({
  'sink messages/s': [900, 900, 900],
  'sink p99, ms': [1, 1, 1],
  'ours messages/s': [90, 100, 110],
  'ours p99, ms': [5, 5, 5],
  'ours on Kafka messages/s': [300, 300, 300],
  'peer messages/s': [105, 120, 130],
  'peer p99, ms': [6, 6, 6],
  'other messages/s': [200, 200, 200],
})

test('a loss names every peer that is better, the best first, and whether the spreads overlap', () => {
  const [loss, ...more] = losses([comparison], measured)
  expect(more).toEqual([])
  expect(loss).toMatchObject({ scenario: 'full speed', figure: rate, ours: { name: 'ours' }, median: 100 })
  expect(loss?.rivals.map(({ target, times, isUnsure }) => [target.name, times, isUnsure])).toEqual([
    ['other', 2, false],
    ['peer', 1.2, true],
  ])
})

test('less is better where a figure says so, and nothing is infinitely better than something', () => {
  const names = (values: Parameters<typeof figuresOf>[0]) =>
    losses([comparison], figuresOf(values)).map(({ ours, rivals }) => [ours.name, rivals[0]?.times])
  expect(names({ 'ours p99, ms': [6, 6, 6], 'peer p99, ms': [4, 4, 4] })).toEqual([['ours', 1.5]])
  expect(names({ 'ours p99, ms': [4, 4, 4], 'peer p99, ms': [4, 4, 4] })).toEqual([])
  expect(names({ 'ours p99, ms': [1, 1, 1], 'peer p99, ms': [0, 0, 0] })).toEqual([['ours', Number.POSITIVE_INFINITY]])
})

test('what was not measured is a dash, not a loss', () => {
  expect(comparisonTable(comparison, measured)).toContain('| other | nothing | 200 | – |')
  expect(losses([comparison], () => undefined)).toEqual([])
  expect(lossesTable([])).toContain('In no figure of this run.')
})

test('the best of all but the generator is in bold', () => {
  const table = comparisonTable(comparison, measured)
  expect(table).toContain('| ours on Kafka | all | **300** | – |')
  expect(table).toContain('| ours | all | 100 (90.0 … 110) | **5.00** |')
  expect(table).toContain('| sink | nothing | 900 | 1.00 |')
})

test('the table of losses says what the better one does with a message', () => {
  expect(lossesTable(losses([comparison], measured))).toContain(
    '| full speed | messages/s | ours (all) 100 | other (nothing) 200: 2.00 ×<br>peer (nothing) 120: 1.20 ×, spreads overlap |',
  )
})
