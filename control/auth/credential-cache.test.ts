import { describe, expect, test } from 'vitest'
import type { DeviceCredentials } from '#control/identities/identities.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import type { Directory } from '#control/link/directory.ts'
import type { Invalidation } from '#control/store/changes.ts'
import type { Trust } from '#control/trust/trust.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { CredentialCache } from './credential-cache.ts'

/** A directory whose answers come when the test says so, in the order of the questions. */
class SlowDirectory {
  readonly asked: string[] = []
  readonly #answers: ((answer: unknown) => void)[] = []
  readonly #failures: ((error: Error) => void)[] = []
  #listener: ((invalidation: Invalidation) => void) | undefined

  readonly port = {
    lookup: (deviceId: string) => this.#question(deviceId),
    trust: () => this.#question('trust'),
    onInvalidate: (listener: (invalidation: Invalidation) => void) => {
      this.#listener = listener
      return () => {
        this.#listener = undefined
      }
    },
  } as unknown as Directory

  tell(invalidation: Invalidation): void {
    this.#listener?.(invalidation)
  }

  async answer(answer: unknown): Promise<void> {
    this.#failures.shift()
    this.#answers.shift()?.(answer)
    await settled()
  }

  async fail(): Promise<void> {
    this.#answers.shift()
    this.#failures.shift()?.(new Error('silent'))
    await settled()
  }

  #question(name: string): Promise<never> {
    this.asked.push(name)
    return new Promise<never>((resolve, reject) => {
      this.#answers.push(resolve as (answer: unknown) => void)
      this.#failures.push(reject)
    })
  }
}

/** What an answer sets off happens in promises only. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

const device = (deviceId: string, generationId: string): DeviceCredentials => ({
  deviceId,
  generationId,
  status: 'enabled',
  authentication: generatedKeys,
  modules: {},
})
const trustOf = (name: string): Trust => ({
  policies: [{ name, rights: [], primaryKey: '', secondaryKey: '' }],
  authorities: [],
})

function cacheOf(devicesMax = 10) {
  const clock = virtualClock(1_000_000)
  const directory = new SlowDirectory()
  const cache = new CredentialCache(directory.port, clock, devicesMax)
  const pass = (ms: number) => {
    clock.after(ms, () => {})
    clock.step()
  }
  /** Asks for a device and lets the directory answer. */
  const learn = async (deviceId: string, isRegistered = true) => {
    const entry = cache.device(deviceId)
    await directory.answer(isRegistered ? device(deviceId, 'g') : undefined)
    return entry
  }
  return { cache, directory, learn, pass }
}

const notices: readonly Invalidation[] = [{ kind: 'devices', deviceIds: ['d'] }, { kind: 'everything' }]

describe('what an edge process knows of devices', () => {
  test.each(notices)('an answer from before a notice of $kind is neither given nor kept', async (notice) => {
    const { cache, directory } = cacheOf()
    const entry = cache.device('d')
    directory.tell(notice)
    await directory.answer(device('d', 'old'))
    expect(directory.asked).toEqual(['d', 'd'])
    await directory.answer(device('d', 'new'))
    expect((await entry).device?.generationId).toBe('new')
    expect(cache.device('d')).toBe(await entry)
    expect(directory.asked).toEqual(['d', 'd'])
  })

  test.each(notices)('each notice of $kind during a look-up makes for one more look-up', async (notice) => {
    const { cache, directory } = cacheOf()
    const entry = cache.device('d')
    for (const generation of ['1', '2', '3']) {
      directory.tell(notice)
      await directory.answer(device('d', generation))
    }
    await directory.answer(device('d', '4'))
    expect((await entry).device?.generationId).toBe('4')
    expect(cache.lookups).toBe(4)
  })

  test.each(notices)('what is kept is forgotten at a notice of $kind', async (notice) => {
    const { cache, directory, learn } = cacheOf()
    await learn('d')
    directory.tell(notice)
    expect(cache.device('d')).toBeInstanceOf(Promise)
  })

  test('a notice of another device, of trust or of quotas changes nothing', async () => {
    const { cache, directory, learn } = cacheOf()
    await learn('d')
    const asking = cache.device('e')
    directory.tell({ kind: 'devices', deviceIds: ['other'] })
    directory.tell({ kind: 'trust' })
    directory.tell({ kind: 'quotas' })
    await directory.answer(device('e', 'first'))
    expect((await asking).device?.generationId).toBe('first')
    expect(cache.device('d')).not.toBeInstanceOf(Promise)
  })

  test('one look-up answers all who ask meanwhile; one that fails is asked again', async () => {
    const { cache, directory } = cacheOf()
    const first = cache.device('d')
    expect(cache.device('d')).toBe(first)
    await Promise.all([expect(first).rejects.toThrow('silent'), directory.fail()])
    const again = cache.device('d')
    await directory.answer(device('d', 'g'))
    expect((await again).device?.generationId).toBe('g')
    expect(directory.asked).toEqual(['d', 'd'])
  })

  test('a registered device is believed for ten minutes, an unknown one for a second', async () => {
    const { cache, learn, pass } = cacheOf()
    await learn('known')
    pass(599_999)
    expect(cache.device('known')).not.toBeInstanceOf(Promise)
    await learn('stranger', false)
    pass(1)
    expect(cache.device('known')).toBeInstanceOf(Promise)
    pass(998)
    expect(cache.device('stranger')).not.toBeInstanceOf(Promise)
    pass(1)
    expect(cache.device('stranger')).toBeInstanceOf(Promise)
  })

  test('memory is bounded: the device asked for longest ago leaves first', async () => {
    const { cache, learn } = cacheOf(2)
    await learn('a')
    await learn('b')
    cache.device('a')
    await learn('c')
    expect(cache.device('a')).not.toBeInstanceOf(Promise)
    expect(cache.device('c')).not.toBeInstanceOf(Promise)
    expect(cache.device('b')).toBeInstanceOf(Promise)
  })

  test('once closed it hears no more', async () => {
    const { cache, directory, learn } = cacheOf()
    await learn('d')
    cache.close()
    directory.tell({ kind: 'everything' })
    expect(cache.device('d')).not.toBeInstanceOf(Promise)
  })
})

describe('what an edge process knows of policies and authorities', () => {
  test.each([{ kind: 'trust' }, { kind: 'everything' }] as const)(
    'an answer from before a notice of $kind is neither given nor kept',
    async (notice) => {
      const { cache, directory } = cacheOf()
      const asking = cache.trust()
      expect(cache.trust()).toBe(asking)
      directory.tell(notice)
      await directory.answer(trustOf('old'))
      const fresh = trustOf('new')
      await directory.answer(fresh)
      expect(await asking).toBe(fresh)
      expect(cache.trust()).toBe(fresh)
      directory.tell(notice)
      expect(cache.trust()).toBeInstanceOf(Promise)
      expect(directory.asked).toEqual(['trust', 'trust', 'trust'])
    },
  )

  test('a notice of devices or quotas changes nothing; a failure is asked again', async () => {
    const { cache, directory } = cacheOf()
    await Promise.all([expect(cache.trust()).rejects.toThrow('silent'), directory.fail()])
    const asking = cache.trust()
    directory.tell({ kind: 'devices', deviceIds: ['d'] })
    directory.tell({ kind: 'quotas' })
    const trust = trustOf('p')
    await directory.answer(trust)
    expect(await asking).toBe(trust)
    directory.tell({ kind: 'devices', deviceIds: ['d'] })
    expect(cache.trust()).toBe(trust)
  })
})

describe('whether an earlier decision still holds', () => {
  test('it does until the device, the policies or time say otherwise', async () => {
    const { cache, directory, learn, pass } = cacheOf()
    const trust = trustOf('p')
    const asking = cache.trust()
    await directory.answer(trust)
    await asking
    const learned = async () => {
      const entry = await learn('d')
      return { entry, holds: () => cache.holds('d', entry, trust) }
    }
    const first = await learned()
    expect(first.holds()).toBe(true)
    expect(cache.holds('d', first.entry, trustOf('p'))).toBe(false)
    expect(cache.holds('e', first.entry, trust)).toBe(false)
    directory.tell({ kind: 'devices', deviceIds: ['d'] })
    expect(first.holds()).toBe(false)
    const second = await learned()
    expect([first.holds(), second.holds()]).toEqual([false, true])
    pass(600_000)
    expect(second.holds()).toBe(false)
    const third = await learned()
    directory.tell({ kind: 'trust' })
    expect(third.holds()).toBe(false)
  })
})
