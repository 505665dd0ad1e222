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

test('the edge seen least recently is forgotten first, and being seen again counts', () => {
  const delivered = new DeliveredSequences()
  for (let edge = 0; edge < 100; edge++) delivered.add(stamp(1, `edge-${edge}`.padEnd(20, '.')))
  delivered.add(stamp(2, 'edge-0'.padEnd(20, '.')))
  for (let edge = 100; edge < 140; edge++) delivered.add(stamp(1, `edge-${edge}`.padEnd(20, '.')))
  const text = delivered.text()
  const kept = Array.from({ length: 140 }, (_, edge) => edge).filter((edge) =>
    delivered.has(stamp(1, `edge-${edge}`.padEnd(20, '.'))),
  )
  // All that is kept is the newest, without a gap; and of the text nothing is free that one more would have filled.
  expect(kept[0]).toBe(0)
  expect(kept.slice(1)).toEqual(Array.from({ length: kept.length - 1 }, (_, i) => 140 - kept.length + 1 + i))
  const perLine = text.split('\n').at(-1)?.length ?? 0
  expect(text.length).toBeGreaterThan(2_500 - perLine - 1 - 4)
  expect(new DeliveredSequences(text).text()).toBe(text)
})

test('a copy goes its own way', () => {
  const delivered = new DeliveredSequences()
  delivered.add(stamp(1))
  const copy = delivered.copy()
  copy.add(stamp(2))
  delivered.add(stamp(3))
  expect([delivered.has(stamp(2)), copy.has(stamp(1)), copy.has(stamp(2)), copy.has(stamp(3))]).toEqual([
    false,
    true,
    true,
    false,
  ])
})

test('the text: golden', () => {
  const delivered = new DeliveredSequences()
  for (const sequence of [5, 6, 1, 9]) delivered.add(stamp(sequence, 'a b', 7))
  delivered.add(stamp(0, 'c', 8))
  expect(delivered.text()).toBe('a%20b 7 1-1,5-6,9-9\nc 8 0-0')
  expect(new DeliveredSequences('').text()).toBe('')
})
