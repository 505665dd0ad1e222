import { afterEach, describe, expect, test } from 'vitest'
import type { DeviceCredentials } from '#control/identities/identities.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import type { Directory } from '#control/link/directory.ts'
import type { Invalidation } from '#control/store/changes.ts'
import { systemClock } from '#runtime/clock.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { Counter } from '#runtime/metrics.ts'
import type { Admitted } from './auth.ts'
import { CredentialCache } from './credential-cache.ts'
import { RevocationWatch } from './revocation-watch.ts'

const thumbprint = 'AB'.repeat(32)
const admitted = (deviceId: string): Admitted => ({
  admitted: true,
  deviceId,
  moduleId: undefined,
  expiresAtMs: undefined,
  generationId: 'g',
  proof: { kind: 'thumbprint', thumbprint },
})

/** A registry of devices that all have the same certificate, until they are removed. */
class FakeDirectory {
  readonly removed = new Set<string>()
  /** Look-ups under way at once, at most. */
  sideBySideMax = 0
  answered = 0
  #sideBySide = 0
  readonly #listeners: ((invalidation: Invalidation) => void)[] = []

  get listenerCount(): number {
    return this.#listeners.length
  }

  readonly port = {
    lookup: async (deviceId: string): Promise<DeviceCredentials | undefined> => {
      this.#sideBySide++
      this.sideBySideMax = Math.max(this.sideBySideMax, this.#sideBySide)
      await new Promise((resolve) => setImmediate(resolve))
      this.#sideBySide--
      this.answered++
      if (this.removed.has(deviceId)) return undefined
      const authentication = { ...generatedKeys, kind: 'selfSigned', primaryThumbprint: thumbprint } as const
      return { deviceId, generationId: 'g', status: 'enabled', authentication, modules: {} }
    },
    trust: async () => ({ policies: [], authorities: [] }),
    onInvalidate: (listener: (invalidation: Invalidation) => void) => {
      this.#listeners.push(listener)
      return () => void this.#listeners.splice(this.#listeners.indexOf(listener), 1)
    },
  } as unknown as Directory

  remove(...deviceIds: readonly string[]): void {
    for (const deviceId of deviceIds) this.removed.add(deviceId)
    for (const listener of [...this.#listeners]) listener({ kind: 'devices', deviceIds })
  }

  tell(invalidation: Invalidation): void {
    for (const listener of [...this.#listeners]) listener(invalidation)
  }
}

const opened: RevocationWatch[] = []
afterEach(() => {
  for (const watch of opened.splice(0)) watch.close()
})

function watchOf() {
  const directory = new FakeDirectory()
  const errors: string[] = []
  const logger: Logger = { ...silentLogger, error: (text) => errors.push(text) }
  const counted = new Counter()
  const cache = new CredentialCache(directory.port, systemClock, 10_000)
  const watch = new RevocationWatch(directory.port, cache, systemClock, logger, counted)
  opened.push(watch)
  return { directory, watch, cache, errors, counted }
}

describe('connections whose identity is revoked', () => {
  test('end all, each once, though ending one of them fails', async () => {
    const { directory, watch, errors, counted } = watchOf()
    const ended: string[] = []
    watch.add(admitted('d'), () => {
      throw new Error('a fault')
    })
    for (const connection of ['first', 'second']) watch.add(admitted('d'), () => ended.push(connection))
    watch.add(admitted('other'), () => ended.push('other'))
    directory.remove('d')
    await expect.poll(() => ended.length).toBe(2)
    directory.remove('d')
    directory.tell({ kind: 'everything' })
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect([ended, errors.length, counted.value]).toEqual([['first', 'second'], 1, 3])
  })

  test('of very many devices end all, looked up a thousand at a time', async () => {
    const { directory, watch, counted } = watchOf()
    const devices = Array.from({ length: 2_500 }, (_, i) => `d${i}`)
    const ended = new Set<string>()
    for (const deviceId of devices) watch.add(admitted(deviceId), () => ended.add(deviceId))
    await expect.poll(() => directory.answered).toBe(2_500)
    directory.sideBySideMax = 0
    directory.remove(...devices.slice(1))
    await expect.poll(() => ended.size).toBe(2_499)
    expect([ended.has('d0'), counted.value, directory.sideBySideMax]).toEqual([false, 2_499, 1_000])
  })

  test('do not end any more once the watch is closed', async () => {
    const { directory, watch, counted } = watchOf()
    watch.add(admitted('d'), () => {})
    await expect.poll(() => directory.answered).toBe(1)
    watch.close()
    // The cache's own is left.
    expect(directory.listenerCount).toBe(1)
    directory.remove('d')
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect([directory.answered, counted.value]).toEqual([1, 0])
  })
})
