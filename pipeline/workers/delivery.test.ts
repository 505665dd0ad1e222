import { expect, test } from 'vitest'
import { Permits } from '#runtime/permits.ts'
import { admitted, type DeliveryOptions } from './delivery.ts'

test('an attempt that still waits for its permit when the assignment ends is not begun; one that runs is not cut off', async () => {
  const end = new AbortController()
  const options = { permits: new Permits(1), circuit: undefined, ended: end.signal } as DeliveryOptions
  let finish = () => {}
  const running = admitted(options, () => new Promise<string>((resolve) => (finish = () => resolve('stored'))))
  let hasBegun = false
  const waiting = admitted(options, async () => {
    hasBegun = true
  })
  end.abort()
  finish()
  expect(await running).toBe('stored')
  expect(await waiting).toBeUndefined()
  expect(hasBegun).toBe(false)
})
