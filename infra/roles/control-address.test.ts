import { expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { ControlAddress } from './control-address.ts'

const url = 'http://127.0.0.1:1'

function supervised() {
  const clock = virtualClock()
  let asks = 0
  const address = new ControlAddress({ url: undefined, ask: () => asks++, clock })
  return { clock, address, asks: () => asks }
}

test('alone, an edge passes to the control role that its settings name, or to none', async () => {
  const clock = virtualClock()
  const named = new ControlAddress({ url, ask: undefined, clock })
  expect(await named.find()).toEqual({ kind: 'at', url })
  const none = new ControlAddress({ url: undefined, ask: undefined, clock })
  expect(await none.find()).toEqual({ kind: 'none' })
})

test('requests wait for a control role that starts for them', async () => {
  const { address, asks } = supervised()
  const found = Promise.all([address.find(), address.find()])
  expect(asks()).toBe(2)
  address.told({ state: 'away' })
  address.told({ state: 'running', url })
  expect(await found).toEqual([
    { kind: 'at', url },
    { kind: 'at', url },
  ])
})

test('one that cannot start, or not in time, is a reason to come back', async () => {
  const { address, clock } = supervised()
  const failed = address.find()
  address.told({ state: 'failed', retryAfterMs: 8_000 })
  expect(await failed).toEqual({ kind: 'away', retryAfterMs: 8_000 })
  const late = address.find()
  while (clock.step()) {}
  expect(await late).toEqual({ kind: 'away', retryAfterMs: 1_000 })
})

test('what uses it says so now and then, so that it is kept running', async () => {
  const { address, clock, asks } = supervised()
  address.told({ state: 'running', url })
  for (let request = 0; request < 100; request++) expect(await address.find()).toEqual({ kind: 'at', url })
  expect(asks()).toBe(1)
  clock.after(10_000, () => {})
  clock.step()
  await address.find()
  expect(asks()).toBe(2)
})

test('one that ended is waited for again', async () => {
  const { address, asks } = supervised()
  address.told({ state: 'running', url })
  address.told({ state: 'away' })
  const found = address.find()
  expect(asks()).toBe(1)
  address.told({ state: 'running', url: `${url}1` })
  expect(await found).toEqual({ kind: 'at', url: `${url}1` })
})
