import { expect, test } from 'vitest'
import { storedOutcome } from './nats-outcome.ts'

test('what a stream numbered is delivered', () => {
  expect(storedOutcome({ stream: 'TELEMETRY', seq: 1 }, 'hub.d1')).toEqual({ kind: 'delivered' })
})

test.each([{}, { stream: 'TELEMETRY' }, { stream: '', seq: 4 }, { stream: 'TELEMETRY', seq: 0 }, { seq: 4 }])(
  'an answer of %o is not of a stream: nothing is stored, and the endpoint waits for somebody to see to it',
  (answer) => {
    const outcome = storedOutcome(answer, 'hub.d1')
    expect(outcome).toMatchObject({ kind: 'held', error: { code: 'ENDPOINT_HELD', failure: 'NotFound' } })
  },
)
