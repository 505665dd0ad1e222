import { expect, test } from 'vitest'
import { PartialFrame } from './partial-frame.ts'

test('a buffer that is kept for the next large frame comes back once: two connections would write over one another [G-6]', () => {
  const frameBytes = 64 * 1024
  const partial = new PartialFrame(frameBytes)
  partial.keep(Buffer.alloc(frameBytes - 1), 0, frameBytes)
  const taken = partial.take()
  partial.giveBack(taken)
  expect(() => partial.giveBack(taken)).toThrow('a buffer comes back once')
  const [one, other] = [new PartialFrame(frameBytes), new PartialFrame(frameBytes)]
  for (const each of [one, other]) each.keep(Buffer.alloc(frameBytes - 1), 0, frameBytes)
  expect(one.take().buffer).not.toBe(other.take().buffer)
})
