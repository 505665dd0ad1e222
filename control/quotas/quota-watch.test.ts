import { describe, expect, test } from 'vitest'
import type { Invalidation } from '#control/store/changes.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { QuotaWatch } from './quota-watch.ts'
import type { QuotaOverride } from './quotas.ts'

const quota = (messagesPerSecond: number): QuotaOverride => ({
  deviceId: 'd',
  messagesPerSecond,
  bytesPerSecond: undefined,
  connectionsPerMinute: undefined,
})

async function watchOf() {
  const clock = virtualClock(1_000_000)
  const registry = { now: 1, failing: false, reads: 0, during: () => {} }
  let listener: ((invalidation: Invalidation) => void) | undefined
  const directory = {
    quotas: async () => {
      registry.reads++
      const answer = [quota(registry.now)]
      registry.during()
      await settled()
      if (registry.failing) throw new Error('silent')
      return answer
    },
    onInvalidate: (heard: (invalidation: Invalidation) => void) => {
      listener = heard
      return () => {
        listener = undefined
      }
    },
  }
  const watch = await QuotaWatch.open(directory, clock, silentLogger)
  const told: (number | undefined)[] = []
  watch.listen((quotas) => told.push(quotas[0]?.messagesPerSecond))
  const tell = (kind: 'trust' | 'quotas' | 'everything') => listener?.({ kind })
  return { clock, registry, watch, told, tell }
}

/** All that promises set off. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
async function allSettled(): Promise<void> {
  for (let count = 0; count < 10; count++) await settled()
}

describe('quotas of single devices at an edge process', () => {
  test.each(['quotas', 'everything'] as const)(
    'are known from the start, and read again at a notice of %s',
    async (kind) => {
      const { registry, told, tell } = await watchOf()
      expect(told).toEqual([1])
      registry.now = 2
      tell(kind)
      await allSettled()
      expect(told).toEqual([1, 2])
      registry.now = 3
      tell(kind)
      await allSettled()
      expect(told).toEqual([1, 2, 3])
    },
  )

  test('are not read for other notices', async () => {
    const { registry, tell } = await watchOf()
    tell('trust')
    await allSettled()
    expect(registry.reads).toBe(1)
  })

  test('an answer from before a notice is not the last: they are read once more, however many notices came', async () => {
    const { registry, told, tell } = await watchOf()
    registry.now = 2
    registry.during = () => {
      registry.during = () => {}
      registry.now = 3
      for (let count = 0; count < 5; count++) tell('quotas')
    }
    tell('quotas')
    await allSettled()
    expect(told.at(-1)).toBe(3)
    expect(registry.reads).toBe(3)
  })

  test('stay as they are while the registry does not answer, which is asked every half second', async () => {
    const { clock, registry, told, tell } = await watchOf()
    registry.now = 2
    registry.failing = true
    tell('quotas')
    await allSettled()
    const begunMs = clock.nowMs()
    for (let count = 0; count < 4; count++) {
      expect(clock.step()).toBe(true)
      await allSettled()
    }
    expect(clock.nowMs() - begunMs).toBe(2_000)
    expect([told, registry.reads]).toEqual([[1], 6])
    registry.failing = false
    clock.step()
    await allSettled()
    expect([told, clock.step()]).toEqual([[1, 2], false])
  })

  test('are told to nobody once it is closed, also those that were being read', async () => {
    const { clock, registry, watch, told, tell } = await watchOf()
    registry.now = 2
    tell('quotas')
    watch.close()
    await allSettled()
    tell('quotas')
    await allSettled()
    expect([told, registry.reads, clock.step()]).toEqual([[1], 2, false])
  })

  test('are not asked for any more once it is closed while the registry does not answer', async () => {
    const { clock, registry, watch, tell } = await watchOf()
    registry.failing = true
    tell('quotas')
    await allSettled()
    watch.close()
    while (clock.step()) await allSettled()
    await allSettled()
    expect(registry.reads).toBe(2)
  })
})
