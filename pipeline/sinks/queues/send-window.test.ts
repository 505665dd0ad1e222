import { expect, it } from 'vitest'
import { held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { messagesAt } from '#pipeline/endpoints/selected-fixture.ts'
import { type MessageOutcome, sendInWindow } from './send-window.ts'

const outcomes: Readonly<Record<string, MessageOutcome>> = {
  d: { kind: 'delivered' },
  r: { kind: 'refused', error: refused('bad') },
  u: { kind: 'retry', error: unavailable('away', 'Transient') },
  h: { kind: 'held', error: held('no right', 'Unauthorized') },
}

it.each([
  ['dddd', 2, 4, { kind: 'delivered' }],
  [
    'drdr',
    2,
    4,
    {
      kind: 'refused',
      refused: new Map([
        [1, 'bad'],
        [3, 'bad'],
      ]),
    },
  ],
  ['ddudddd', 1, 3, { kind: 'retry', deliveredCount: 2 }],
  ['ddudddd', 7, 7, { kind: 'retry', deliveredCount: 2 }],
  // A refused one is no delivered one: it comes again, and is refused again.
  ['drud', 1, 3, { kind: 'retry', deliveredCount: 1 }],
  ['hddd', 1, 1, { kind: 'held' }],
  ['dhdd', 1, 2, { kind: 'retry', deliveredCount: 1 }],
])('%s with %i under way begins %i', async (script, windowMessages, begun, expected) => {
  let count = 0
  let underWay = 0
  let most = 0
  const send = async (): Promise<MessageOutcome> => {
    const outcome = outcomes[script[count++] ?? ''] ?? expect.fail('the script ends')
    most = Math.max(most, ++underWay)
    await new Promise((resolve) => setImmediate(resolve))
    underWay--
    return outcome
  }
  const outcome = await sendInWindow(messagesAt(0, [...script]), windowMessages, send)
  expect(outcome).toMatchObject(expected)
  expect(count).toBe(begun)
  expect(most).toBe(Math.min(windowMessages, script.length))
})
