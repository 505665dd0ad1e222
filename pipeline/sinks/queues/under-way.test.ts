import { expect, it } from 'vitest'
import { held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { MessageOutcome } from './send-window.ts'
import { UnderWay } from './under-way.ts'

const delivered: MessageOutcome = { kind: 'delivered' }

it('sends in order, no more than may be under way', async () => {
  const underWay = new UnderWay(2)
  const begun: number[] = []
  const answers: ((outcome: MessageOutcome) => void)[] = []
  const outcomes = [0, 1, 2].map((place) =>
    underWay.send((answer) => {
      begun.push(place)
      answers.push(answer)
    }),
  )
  await new Promise((resolve) => setImmediate(resolve))
  expect(begun).toEqual([0, 1])
  answers[1]?.(delivered)
  expect(await outcomes[1]).toEqual(delivered)
  await expect.poll(() => begun).toEqual([0, 1, 2])
  underWay.lose(unavailable('gone', 'Transient'))
  expect(await Promise.all(outcomes)).toMatchObject([{ kind: 'retry' }, delivered, { kind: 'retry' }])
})

it.each([
  ['retry', unavailable('gone', 'Transient'), 'Transient'],
  ['held', held('no right', 'Unauthorized'), 'Unauthorized'],
  // Whose fault it was is not known.
  ['retry', refused('too large', 'MaxMessageSizeExceeded'), 'MaxMessageSizeExceeded'],
] as const)('a loss answers %s to what is under way and what comes later', async (kind, error, failure) => {
  const underWay = new UnderWay(1)
  const sent = [underWay.send(() => {}), underWay.send(() => expect.fail('nothing is sent any more'))]
  underWay.lose(error)
  underWay.lose(unavailable('something else', 'Timeout'))
  for (const outcome of [...(await Promise.all(sent)), await underWay.send(() => expect.fail('nothing is sent'))])
    expect(outcome).toMatchObject({ kind, error: { failure } })
  expect(underWay.isLost).toBe(true)
})
