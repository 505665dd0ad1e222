/** By hand with more: `RUNS=500000 vitest run pipeline/routing/condition/condition.fuzz.ts`, repeated with `SEED=`. */
import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { conditionFrom } from './cases-fixture.ts'
import { type Location, type Position, type Reading, readCondition } from './condition.ts'
import { absent } from './facts.ts'
import { factsOf } from './message-facts.ts'
import { Needs } from './needs.ts'
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

  test('facts of a message answer for any bytes, content type and encoding, with values of the kinds that there are', () => {
    const random = seededRandom(seed)
    const pick = <Choice>(choices: readonly Choice[]): Choice => choices[random.below(choices.length)] as Choice
    const needs = new Needs()
    for (const path of [['a'], ['a', 'b', 0], ['list', 2, 'c'], ["d'eau"], ['__proto__', 'a']]) needs.bodyPath(path)
    needs.twinPath(['a', 'b', 1])
    const parts = [
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '"b"',
      '"list"',
      '"\\ud83d"',
      '"é"',
      '-1e9',
      '1e999',
      'null',
      'true',
      ' ',
    ]
    let readable = 0
    for (let run = 0; run < 5_000; run++) {
      const inside = Array.from({ length: random.below(8) }, () => pick(parts)).join('')
      const text = pick(['{"a":{"b":[1]}}', '{"list":[0,1,{"c":null}]}', `{"a":${inside}}`, inside])
      const bytes = Buffer.from(text, pick(['utf8', 'utf16le', 'latin1']))
      if (random.chance(0.3) && bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256)
      const system = {
        contentType: pick([
          'application/json',
          'application/json',
          'application/json; charset="utf-8"',
          'text/plain',
          '',
          ';;=',
        ]),
        contentEncoding: pick(['utf-8', 'UTF-16', 'utf-32', 'utf8', '']),
      }
      const facts = factsOf(
        {
          properties: [],
          systemProperties: Object.entries(system),
          body: bytes,
          twin: pick([undefined, null, 1, { A: { b: [0, 1] } }]),
        },
        needs,
      )
      for (let index = 0; index < needs.bodyPaths.length; index++) {
        expect(facts.body(index) === undefined, `SEED=${seed}, run ${run}`).toBe(facts.unreadable() !== undefined)
      }
      expect([1, absent]).toContain(facts.twin(0))
      if (facts.unreadable() === undefined) readable++
    }
    expect(readable).toBeGreaterThan(200)
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
