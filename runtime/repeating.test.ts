import { expect, test } from 'vitest'
import { repeating } from './repeating.ts'
import { virtualClock } from './virtual-clock.ts'

const turns = async (): Promise<void> => {
  for (let count = 0; count < 5; count++) await new Promise((resolve) => setImmediate(resolve))
}

test('it is done at once, again after the pause that it gave, and without one where it gave none', async () => {
  const clock = virtualClock()
  const pauses = [100, 0, 200]
  const atMs: number[] = []
  const end = repeating(clock, async () => {
    atMs.push(clock.monotonicMs())
    return pauses[atMs.length - 1] ?? 1_000
  })
  for (let step = 0; step < 2; step++) {
    await turns()
    clock.step()
  }
  await turns()
  expect(atMs).toEqual([0, 100, 100, 300])
  await end()
  expect(clock.step()).toBe(false)
})

test('its end cuts a pause short, and waits for what is under way', async () => {
  let finish = (): void => {}
  let isDone = false
  const end = repeating(virtualClock(), async (signal) => {
    await new Promise<void>((resolve) => {
      finish = resolve
    })
    expect(signal.aborted).toBe(true)
    isDone = true
    return 1_000
  })
  const ended = end()
  finish()
  await ended
  expect(isDone).toBe(true)
})
