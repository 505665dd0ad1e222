import { expect, test } from 'vitest'
import { predict, quantityNames } from './model.ts'
import { type Plan, planOf } from './plan.ts'
import { checkedFigures, checkTable, loadOf, onOneMachine } from './plan-check.ts'
import { planQuestion } from './plan-question.ts'
import { knownCosts } from './scaling-run.fake.ts'

const planFor = (asked: Parameters<typeof planQuestion>[0]) => planOf(knownCosts, onOneMachine(planQuestion(asked)))
const small = planFor({ rate: 10_000, devices: 200, body: 100, 'messages-per-read': 2 })

/** A run that did `work`, at the cost that the model knows. */
const runOf = (plan: Plan, work = plan.work) => ({
  sweep: 'held out' as const,
  load: loadOf(plan),
  seconds: 10,
  work,
  measured: Object.fromEntries(quantityNames.map((name) => [name, predict(knownCosts, name, work)])),
  warnings: [],
})

test('what is run is what is planned: processes, partitions, devices and what they send', () => {
  const { edges, workers } = small.work
  const { partitions } = small
  expect(loadOf(small)).toEqual({
    connections: 200,
    rate: 10_000,
    burst: 2,
    bodyBytes: 100,
    partitions,
    edges,
    workers,
  })
})

test.each([
  ['more processes', { rate: 1e7 }],
  ['more shards', { rate: 20_000, 'shard-inserts': 1 }],
  ['more connections a process than there are open files', { devices: 1e7, 'edge-connections': 1e7, rate: 0 }],
])('a plan of %s than this machine can run is refused, with what it can', (_, asked) => {
  expect(() => loadOf(planFor(asked))).toThrow(/--check: the plan has .* ask for less/)
})

test('a run that does what is planned, at the cost that is known, has no error; twice the batches show in all that they cost', () => {
  const errors = (work = small.work) =>
    Object.fromEntries(
      checkedFigures(knownCosts, small, runOf(small, work)).map(({ name, planned, measured }) => [
        name,
        Number((planned / measured - 1).toFixed(3)),
      ]),
    )
  expect(new Set(Object.values(errors()))).toEqual(new Set([0]))
  const more = errors({ ...small.work, batchesPerSecond: 2 * small.work.batchesPerSecond })
  expect(more.batches).toBe(-0.5)
  expect(more['edge, CPU']).toBeLessThan(0)
  expect(more['worker, CPU']).toBeLessThan(0)
  expect([more.messages, more.inserts, more['warehouse, CPU'], more['edge, memory']]).toEqual([0, 0, 0, 0])
})

test('the table has a line for each figure, and says what makes the run doubtful', () => {
  const figures = checkedFigures(knownCosts, small, runOf(small))
  const text = checkTable({ figures, warnings: ['the schedule drifted'] })
  expect(text.split('\n')).toHaveLength(figures.length + 3)
  expect(text).toContain('| messages, a second | 10 k | 10 k | 0 % |')
  expect(text).toContain('! the schedule drifted')
  expect(text).not.toMatch(/NaN|undefined|Infinity/)
})
