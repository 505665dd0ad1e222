import { expect, test } from 'vitest'
import { Selection } from './selection.ts'
import { RouteTally } from './selection-pass.ts'

/** A block of two messages, of which the second goes to the endpoint. */
const block = {
  source: 'DeviceMessages',
  plain: Buffer.from('ab'),
  firstIndex: 0,
  messageCount: 2,
  starts: Uint32Array.of(0, 1, 2),
  masks: Uint32Array.of(0, 1),
  stored: undefined,
} as const

const selectionOf = (changes: Partial<Record<'starts' | 'masks', Uint32Array> & { messageCount: number }>) =>
  Selection.decoded(2, [{ ...block, ...changes }], 1, 1, new RouteTally(1))

test('counts the messages that go to an endpoint', () => {
  expect([selectionOf({}).countOf(0), selectionOf({}).of(0)]).toEqual([1, 'some'])
})

test.each([
  ['a verdict too few', { masks: Uint32Array.of(1) }],
  ['a verdict too many', { masks: Uint32Array.of(0, 1, 1) }],
  ['no end of its last message', { starts: Uint32Array.of(0, 1) }],
  ['more messages than its record', { messageCount: 3, starts: new Uint32Array(4), masks: new Uint32Array(3) }],
])('is not made of a block with %s: messages would be left out, or double, without a word', (_name, changes) => {
  expect(() => selectionOf(changes)).toThrow(expect.objectContaining({ code: 'INTERNAL_EXPECTATION_FAILED' }))
})
