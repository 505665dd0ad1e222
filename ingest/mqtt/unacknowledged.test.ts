import { expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { Unacknowledged } from './unacknowledged.ts'

test('as many messages as the receive maximum may wait, then more are refused until one is acknowledged [MQTT-3.3.4-7]', () => {
  const waiting = new Unacknowledged()
  for (let id = 1; id <= limits.receiveMaximum; id++) waiting.push(id)
  const refusal = expect.objectContaining({ code: 'INGEST_RECEIVE_MAXIMUM' })
  expect(() => waiting.push(1)).toThrow(refusal)
  expect(waiting.pubacks(1).toString('hex')).toBe('40020001')
  expect(() => waiting.push(1)).not.toThrow()
  expect(() => waiting.push(2)).toThrow(refusal)
})
