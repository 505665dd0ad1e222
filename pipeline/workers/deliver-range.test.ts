import { expect, test } from 'vitest'
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { storedIn } from './deliver-range.ts'

test('a sink that does not say how much of a range it has is not taken to have any of it, or all', async () => {
  const answering = (stored: unknown) => ({ stored: async () => stored }) as Pick<TableSink, 'stored'>
  expect(await storedIn(answering(3), {} as DeliveryRange)).toBe(3)
  for (const answer of [undefined, Number.NaN, -1, 0.5])
    await expect(storedIn(answering(answer), {} as DeliveryRange)).rejects.toThrow('a sink counts what it has stored')
})
