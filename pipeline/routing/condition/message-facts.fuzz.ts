import { expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { absent } from './facts.ts'
import { factsOf } from './message-facts.ts'
import { Needs } from './needs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const runs = Number(process.env.RUNS ?? 5_000)

const json = 'application/json'
const contentTypes = [json, json, json, `${json}; charset="utf-8"`, `${json};charset`, 'text/plain', '', ';;=']
const contentEncodings = ['utf-8', 'utf-8', 'UTF-16', 'utf-32', 'utf8', '']
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
const twins = [undefined, null, 1, { A: { b: [0, 1] } }]

test('facts of a message answer for any bytes, content type, encoding and twin', () => {
  const { below, chance } = seededRandom(seed)
  const pick = <Choice>(choices: readonly Choice[]): Choice => choices[below(choices.length)] as Choice
  const needs = new Needs()
  for (const path of [['a'], ['a', 'b', 0], ['list', 2, 'c'], ["d'eau"], ['__proto__', 'a']]) needs.bodyPath(path)
  needs.twinPath(['a', 'b', 1])
  let readable = 0
  for (let run = 0; run < runs; run++) {
    const inside = Array.from({ length: below(8) }, () => pick(parts)).join('')
    const text = pick(['{"a":{"b":[1]}}', '{"list":[0,1,{"c":null}]}', `{"a":${inside}}`, inside])
    const body = Buffer.from(text, pick(['utf8', 'utf8', 'utf16le', 'latin1']))
    if (chance(0.3) && body.length > 0) body[below(body.length)] = below(256)
    const system = { contentType: pick(contentTypes), contentEncoding: pick(contentEncodings) }
    const message = { properties: [], systemProperties: Object.entries(system), body, twin: pick(twins) }
    const facts = factsOf(message, needs)
    const reason = facts.unreadable()
    for (const index of needs.bodyPaths.keys()) {
      expect(facts.body(index) === undefined, `SEED=${seed}, run ${run}`).toBe(reason !== undefined)
    }
    expect([1, absent]).toContain(facts.twin(0))
    if (reason === undefined) readable++
  }
  expect(readable).toBeGreaterThan(runs / 20)
})
