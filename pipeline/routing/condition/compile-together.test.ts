import { expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { conditionFrom } from './cases-fixture.ts'
import { compileTogether } from './compile-together.ts'
import { type Condition, readCondition } from './condition.ts'
import type { Facts } from './facts.ts'
import { Needs } from './needs.ts'
import { RandomConditions } from './random-conditions-fixture.ts'

function asked(conditions: readonly Condition[], facts: Facts): { trues: number[]; undefinedCounts: number[] } {
  const trues = new Uint32Array(conditions.length)
  const undefinedCounts = new Uint32Array(conditions.length)
  const count = compileTogether(conditions)(facts, trues, undefinedCounts)
  return { trues: [...trues.subarray(0, count)], undefinedCounts: [...undefinedCounts] }
}

test('conditions asked together come to what each comes to alone', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
  const random = seededRandom(seed)
  const source = new RandomConditions(random)
  const met = { true: 0, false: 0, undefined: 0 }
  for (let round = 0; round < 150; round++) {
    const needs = new Needs()
    const conditions: Condition[] = []
    // Some are interpreted, and the largest sets are more than one function.
    while (conditions.length < random.below(round % 10 === 0 ? 120 : 20)) {
      const reading = readCondition(source.text(), 'DeviceMessages', { needs, interpreted: random.chance(0.1) })
      if ('condition' in reading) conditions.push(reading.condition)
    }
    for (let message = 0; message < 5; message++) {
      const facts = source.facts(needs)
      const verdicts = conditions.map(({ evaluate }) => evaluate(facts))
      for (const verdict of verdicts) met[`${verdict}`]++
      expect(asked(conditions, facts), `SEED=${seed}: ${conditions.map(({ text }) => text).join('\n')}`).toEqual({
        trues: verdicts.flatMap((verdict, index) => (verdict === true ? [index] : [])),
        undefinedCounts: verdicts.map((verdict) => (verdict === undefined ? 1 : 0)),
      })
    }
  }
  expect(Math.min(...Object.values(met))).toBeGreaterThan(100)
})

test('a path of the body is read once for all conditions, and only where one needs it', () => {
  const needs = new Needs()
  const conditions = ["a = 'x' AND $body.t > 1", '$body.t > 2', '$body.t > 3 OR $body.u = 1'].map((text) =>
    conditionFrom(readCondition(text, 'DeviceMessages', { needs })),
  )
  const read: number[] = []
  const facts: Facts = {
    property: () => undefined,
    system: () => undefined,
    body: (index) => {
      read.push(index)
      return index === needs.bodyPath(['t']) ? 4 : 0
    },
    twin: () => undefined,
    unreadable: () => undefined,
  }
  expect(asked(conditions, facts).trues).toEqual([1, 2])
  expect(read).toEqual([needs.bodyPath(['t'])])
})

test('nothing is asked where there are no conditions', () => {
  expect(asked([], {} as Facts)).toEqual({ trues: [], undefinedCounts: [] })
})
