import { describe, expect, test } from 'vitest'
import type { DeviceCredentials } from '#control/identities/identities.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import { LookupBatch } from './lookup-batch.ts'

const device = (deviceId: string): DeviceCredentials => ({
  deviceId,
  generationId: `g-${deviceId}`,
  status: 'enabled',
  authentication: generatedKeys,
  modules: {},
})

/** A registry that knows every device but `unknown`, and answers when it is told to. */
class SlowRegistry {
  readonly asked: (readonly string[])[] = []
  readonly #waiting: { readonly answer: () => void; readonly fail: () => void }[] = []

  readonly ask = (deviceIds: readonly string[]): Promise<readonly DeviceCredentials[]> => {
    this.asked.push(deviceIds)
    return new Promise((resolve, reject) => {
      const known = deviceIds.filter((deviceId) => deviceId !== 'unknown').toReversed()
      this.#waiting.push({ answer: () => resolve(known.map(device)), fail: () => reject(new Error('silent')) })
    })
  }

  async answer(): Promise<void> {
    this.#waiting.shift()?.answer()
    await turn()
  }

  async fail(): Promise<void> {
    this.#waiting.shift()?.fail()
    await turn()
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function batchOf() {
  const registry = new SlowRegistry()
  return { registry, batch: new LookupBatch(registry.ask, ({ deviceId }) => deviceId) }
}

describe('look-ups of devices', () => {
  test('those of one turn travel together, each once, and each has its own answer', async () => {
    const { registry, batch } = batchOf()
    const found = ['a', 'b', 'a', 'unknown'].map((deviceId) => batch.lookup(deviceId))
    expect(found[2]).toBe(found[0])
    await turn()
    expect(registry.asked).toEqual([['a', 'b', 'unknown']])
    await registry.answer()
    expect((await Promise.all(found)).map((each) => each?.generationId)).toEqual(['g-a', 'g-b', 'g-a', undefined])
  })

  test('one batch is under way at a time; what is asked meanwhile makes up the next', async () => {
    const { registry, batch } = batchOf()
    const first = batch.lookup('a')
    await turn()
    // Also of the same device: an answer that is under way may be from before a change.
    const later = [batch.lookup('a'), batch.lookup('b')]
    await turn()
    expect(registry.asked).toEqual([['a']])
    await registry.answer()
    expect((await first)?.deviceId).toBe('a')
    expect(registry.asked).toEqual([['a'], ['a', 'b']])
    await registry.answer()
    expect((await Promise.all(later)).map((each) => each?.deviceId)).toEqual(['a', 'b'])
    // And it begins anew once nothing waits.
    const again = batch.lookup('c')
    await turn()
    await registry.answer()
    expect((await again)?.deviceId).toBe('c')
    expect(registry.asked).toHaveLength(3)
  })

  test('a failure is told to those it concerns only', async () => {
    const { registry, batch } = batchOf()
    const failed = [batch.lookup('a'), batch.lookup('b')].map((each) => expect(each).rejects.toThrow('silent'))
    await turn()
    const later = batch.lookup('c')
    await registry.fail()
    await Promise.all(failed)
    await registry.answer()
    expect((await later)?.deviceId).toBe('c')
  })

  test('a batch is a thousand devices at most, in the order in which they were asked for', async () => {
    const { registry, batch } = batchOf()
    const found = Array.from({ length: 2_001 }, (_, i) => batch.lookup(`d${i}`))
    await turn()
    for (let count = 0; count < 3; count++) await registry.answer()
    await Promise.all(found)
    expect(registry.asked.map(({ length }) => length)).toEqual([1_000, 1_000, 1])
    expect(registry.asked.flat()).toEqual(found.map((_, i) => `d${i}`))
  })

  test('what waits is bounded: beyond it devices are told to come back, until there is room again [G-4]', async () => {
    const { registry, batch } = batchOf()
    const found = Array.from({ length: 50_000 }, (_, i) => batch.lookup(`d${i}`))
    const refused = { code: 'AUTH_DIRECTORY_UNAVAILABLE' }
    await expect(batch.lookup('one more')).rejects.toMatchObject(refused)
    await turn()
    // Those under way count as well.
    await expect(batch.lookup('one more')).rejects.toMatchObject(refused)
    expect(batch.lookup('d49999')).toBe(found.at(-1))
    const outcomes = Promise.allSettled(found)
    await registry.fail()
    const room = Array.from({ length: 1_000 }, (_, i) => batch.lookup(`later${i}`))
    await expect(batch.lookup('one more')).rejects.toMatchObject(refused)
    for (let count = 0; count < 50; count++) await registry.answer()
    expect((await outcomes).filter(({ status }) => status === 'rejected')).toHaveLength(1_000)
    expect(await Promise.all(room)).toHaveLength(1_000)
  })
})
