import { describe, expect, test } from 'vitest'
import type { PresenceRecord } from '#control/presence/presence.ts'
import { type ControlChange, type Invalidation, invalidationOf } from '#control/store/changes.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type DirectorySources, RegistryDirectory } from './registry-directory.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const state = (atMs: number): PresenceRecord => ({
  deviceId: 'd',
  moduleId: undefined,
  connected: true,
  edgeId: 'e',
  atMs,
})

/** A registry whose writes of presence end when the test says so, and that keeps the order of what it is asked. */
function registryOf() {
  const asked: string[] = []
  const written: PresenceRecord[][] = []
  const ends: ((failing: boolean) => void)[] = []
  const faults = { error: undefined as Error | undefined }
  const listeners: ((change: ControlChange) => void)[] = []
  const answer = async (name: string) => {
    asked.push(name)
    if (faults.error) throw faults.error
    return []
  }
  const flat = {
    trust: () => answer('trust'),
    quotas: () => answer('quotas'),
    credentials: () => answer('credentials'),
    announce: () => answer('announce'),
    recordBeat: () => answer('beat'),
    resetPresence: () => answer('reset'),
    recordPresence: (records: PresenceRecord[]) => {
      written.push(records)
      asked.push('presence')
      return new Promise<void>((resolve, reject) =>
        ends.push((failing) => (failing ? reject(new Error('silent')) : resolve())),
      )
    },
    onChange: (listener: (change: ControlChange) => void) => {
      listeners.push(listener)
      return () => void listeners.splice(0)
    },
    close: () => answer('close'),
  }
  const port = {
    identities: flat,
    trust: flat,
    quotas: flat,
    presence: flat,
    changes: flat,
    close: flat.close,
  } as unknown as DirectorySources
  const end = async (failing = false) => {
    ends.shift()?.(failing)
    await turn()
  }
  return { port, asked, written, end, faults, listeners }
}

describe('connection states on their way into the registry', () => {
  test('are written a thousand at a time, one write after the other, in their order', async () => {
    const registry = registryOf()
    const directory = new RegistryDirectory(registry.port, silentLogger)
    directory.report([])
    expect(registry.asked).toEqual([])
    for (let atMs = 0; atMs < 2_500; atMs++) directory.report([state(atMs)])
    for (let write = 0; write < 4; write++) await registry.end()
    // The first went alone; what came meanwhile followed it.
    expect(registry.written.map(({ length }) => length)).toEqual([1, 1_000, 1_000, 499])
    expect(registry.written.flat().map(({ atMs }) => atMs)).toEqual(Array.from({ length: 2_500 }, (_, i) => i))
    directory.report([state(7)])
    expect(registry.written).toHaveLength(5)
  })

  test('that wait are bounded: the oldest give way [G-4]', async () => {
    const registry = registryOf()
    const directory = new RegistryDirectory(registry.port, silentLogger)
    for (let atMs = 0; atMs <= 10_001; atMs++) directory.report([state(atMs)])
    for (let write = 0; write < 12; write++) await registry.end()
    const told = registry.written.flat().map(({ atMs }) => atMs)
    expect([told.length, told[0], told[1], told.at(-1)]).toEqual([10_001, 0, 2, 10_001])
  })

  test('that could not be written are said and left; the others follow', async () => {
    const registry = registryOf()
    const warned: string[] = []
    const logger: Logger = { ...silentLogger, warn: (text) => warned.push(text) }
    const directory = new RegistryDirectory(registry.port, logger)
    directory.report([state(1)])
    directory.report([state(2)])
    await registry.end(true)
    await registry.end()
    expect([registry.written.map(([first]) => first?.atMs), warned.length]).toEqual([[1, 2], 1])
  })

  test('are there before an edge that begins anew is reset, and before the registry is closed', async () => {
    const registry = registryOf()
    const directory = new RegistryDirectory(registry.port, silentLogger, { ownsRegistry: true })
    directory.report([state(1)])
    const reset = directory.reset('e', 5)
    await turn()
    expect(registry.asked).toEqual(['presence'])
    await registry.end()
    await reset
    directory.report([state(2)])
    const closed = directory.close()
    await turn()
    await registry.end()
    await closed
    expect(registry.asked).toEqual(['presence', 'reset', 'presence', 'close'])
  })
})

describe('the registry as a directory', () => {
  test('a store that does not answer is told as the directory being away; any other fault as it is', async () => {
    const registry = registryOf()
    const directory = new RegistryDirectory(registry.port, silentLogger)
    const asks = [
      () => directory.trust(),
      () => directory.quotas(),
      () => directory.lookup('d'),
      () => directory.announce('e', []),
      () => directory.beat('e', []),
      () => directory.reset('e', 0),
    ]
    registry.faults.error = new PenstockError('STORE_UNAVAILABLE', 'silent')
    for (const ask of asks)
      await expect(ask()).rejects.toMatchObject({ code: 'AUTH_DIRECTORY_UNAVAILABLE', cause: registry.faults.error })
    registry.faults.error = new TypeError('a fault')
    for (const ask of asks) await expect(ask()).rejects.toBe(registry.faults.error)
  })

  test('tells each change to who listens, until it is closed; the registry of another stays open', async () => {
    const registry = registryOf()
    const directory = new RegistryDirectory(registry.port, silentLogger)
    const heard: Invalidation[] = []
    directory.onInvalidate((invalidation) => heard.push(invalidation))
    directory.onInvalidate((invalidation) => heard.push(invalidation))()
    registry.listeners[0]?.({ kind: 'quotas' })
    expect(heard).toEqual([{ kind: 'quotas' }])
    await directory.close()
    expect([registry.listeners, registry.asked]).toEqual([[], []])
  })

  test('a change of identities is one of their devices, each once; of what may have been missed, of everything', () => {
    const changes = [
      { change: 'created', deviceId: 'a', moduleId: undefined },
      { change: 'updated', deviceId: 'a', moduleId: 'm' },
      { change: 'deleted', deviceId: 'b', moduleId: undefined },
    ] as const
    expect(invalidationOf({ kind: 'identities', changes })).toEqual({ kind: 'devices', deviceIds: ['a', 'b'] })
    expect(invalidationOf({ kind: 'trust' })).toEqual({ kind: 'trust' })
    expect(invalidationOf({ kind: 'quotas' })).toEqual({ kind: 'quotas' })
    expect(invalidationOf({ kind: 'resync' })).toEqual({ kind: 'everything' })
  })
})
