/** Ten million evaluations by hand: `RUNS=1250000 vitest run pipeline/routing/condition/condition.fuzz.ts`; a run again with `SEED=`. */
import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { conditionFrom } from './cases-fixture.ts'
import { type Location, type Position, type Reading, readCondition } from './condition.ts'
import { RandomConditions } from './random-conditions-fixture.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const runs = Number(process.env.RUNS ?? 15_000)
const messagesPerCondition = 20

describe('conditions that nobody would write', () => {
  test('reading never throws, problems lie within the text, and compiled conditions come to what interpreted ones do', {
    timeout: 24 * 3_600_000,
  }, () => {
    const random = seededRandom(seed)
    const conditions = new RandomConditions(random)
    const totals = { texts: 0, compiled: 0, evaluations: 0, true: 0, false: 0, undefined: 0 }
    for (let run = 0; run < runs; run++) {
      const text = conditions.text()
      const source = conditions.source()
      const told = () => `SEED=${seed}, run ${run}: ${JSON.stringify(text)}`
      const reading = readCondition(text, source)
      totals.texts++
      checkProblems(text, reading, told)
      if (!('condition' in reading)) continue
      totals.compiled++
      const compiled = reading.condition
      const interpreted = conditionFrom(readCondition(text, source, { interpreted: true }))
      for (let message = 0; message < messagesPerCondition; message++) {
        const facts = conditions.facts(compiled.needs)
        const verdict = compiled.evaluate(facts)
        // Cheaper than `expect`, which is asked for its words only where they differ.
        if (verdict !== interpreted.evaluate(facts)) expect(verdict, told()).toBe(interpreted.evaluate(facts))
        totals.evaluations++
        totals[`${verdict}`]++
      }
      const facts = conditions.facts(compiled.needs)
      const { verdict, reason, steps } = compiled.explain(facts)
      expect(verdict, told()).toBe(compiled.evaluate(facts))
      expect(reason === undefined, told()).toBe(verdict !== undefined)
      for (const { location } of steps) checkLocation(text, location, told)
    }
    process.stdout.write(`conditions from SEED=${seed}: ${JSON.stringify(totals)}\n`)
    for (const count of Object.values(totals)) expect(count).toBeGreaterThan(runs / 10)
  })
})

function checkProblems(text: string, reading: Reading, told: () => string): void {
  const errors = 'errors' in reading ? reading.errors : []
  if ('errors' in reading) expect(errors.length, told()).toBeGreaterThan(0)
  for (const { location, message } of [...errors, ...reading.warnings]) {
    expect(message, told()).not.toBe('')
    checkLocation(text, location, told)
  }
}

function checkLocation(text: string, { start, end }: Location, told: () => string): void {
  const lines = text.split('\n')
  const isInside = ({ line, column }: Position) => column >= 1 && column <= (lines[line - 1]?.length ?? -1) + 1
  if (isInside(start) && isInside(end) && (start.line < end.line || start.column <= end.column)) return
  expect({ start, end }, told()).toBe('a place in the text')
}
