import { expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { DeliveredSequences } from './delivered-sequences.ts'

const stamp = (sequence: number, edgeId = 'edge 1/ä', epoch = 7) => ({
  schemaVersion: 1,
  edgeId,
  epoch,
  sequence,
  messageCount: 1,
  enqueuedAtMsFirst: 0,
  enqueuedAtMsLast: 0,
})

test('what was added is known in any order and after a way through text, and nothing else is', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
  const random = seededRandom(seed)
  for (let run = 0; run < 200; run++) {
    let delivered = new DeliveredSequences()
    const model = new Set<number>()
    for (let step = 0; step < 30; step++) {
      const sequence = random.integer(0, 40)
      delivered.add(stamp(sequence))
      model.add(sequence)
      if (random.chance(0.2)) delivered = new DeliveredSequences(delivered.text())
      for (let other = 0; other <= 41; other++)
        expect(delivered.has(stamp(other)), `SEED=${seed} sequence ${other}`).toBe(model.has(other))
    }
  }
})

test('edges and epochs are told apart, and one epoch before the newest is kept', () => {
  const delivered = new DeliveredSequences()
  for (const epoch of [1, 2, 3]) delivered.add(stamp(5, 'a', epoch))
  delivered.add(stamp(6, 'b', 1))
  expect(delivered.has(stamp(5, 'a', 1))).toBe(false)
  expect(delivered.has(stamp(5, 'a', 2))).toBe(true)
  expect(delivered.has(stamp(5, 'a', 3))).toBe(true)
  expect(delivered.has(stamp(5, 'b', 1))).toBe(false)
})

test('the text is bounded: what does not fit is forgotten, so delivered again and never left out [G-4]', () => {
  const delivered = new DeliveredSequences()
  for (let edge = 0; edge < 500; edge++) delivered.add(stamp(1, `edge-${edge}`))
  expect(delivered.text().length).toBeLessThanOrEqual(2_500)
  expect(delivered.has(stamp(1, 'edge-499'))).toBe(true)
  expect(delivered.has(stamp(1, 'edge-0'))).toBe(false)
  const gaps = new DeliveredSequences()
  for (let sequence = 0; sequence < 5_000; sequence += 2) gaps.add(stamp(sequence))
  expect(gaps.text().length).toBeLessThanOrEqual(2_500)
  expect(gaps.has(stamp(4_998))).toBe(true)
  expect(gaps.has(stamp(4_999))).toBe(false)
})
