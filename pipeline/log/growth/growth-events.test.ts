import { expect, test } from 'vitest'
import { afterEvent, type GrowthEvent, nothingGrown } from './growth-events.ts'

const of = { logId: 'log', by: 'a command' }

const stateAfter = (events: readonly GrowthEvent[]) => events.reduce(afterEvent, nothingGrown)

test.each([[[7]], [[7, 7, 7]]])('a growth of two partitions that is cut at %o counts for nothing', (cuts) => {
  const held = stateAfter([
    { kind: 'planned', ...of, from: 2, to: 4 },
    { kind: 'held', ...of, to: 4 },
  ])
  expect(held.hold).toMatchObject({ number: 1 })
  expect(() => afterEvent(held, { kind: 'grown', ...of, hold: 1, cuts }, 2)).toThrow('each of 2 partitions is cut')
})

test.each([6, 4, 2])('a hold to %d of a command that another one overtook is none: there are four by now', (to) => {
  const state = stateAfter([
    { kind: 'planned', ...of, from: 2, to: 4 },
    { kind: 'planned', ...of, from: 2, to },
    { kind: 'held', ...of, to: 4 },
    { kind: 'grown', ...of, hold: 2, cuts: [7, 7] },
    { kind: 'held', ...of, to },
    { kind: 'grown', ...of, hold: 4, cuts: [8, 8, 0, 0] },
  ])
  expect(state).toEqual({ ...state, count: 4, hold: undefined, growths: [{ from: 2, to: 4, cuts: [7, 7] }] })
})
