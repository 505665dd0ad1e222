import { describe, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { identityText } from '#schemas/identity-id.ts'
import { SessionKeeper } from './session-keeper.ts'
import type { KeptSession, KeptSessions } from './sessions.ts'

const id = (deviceId: string) => ({ deviceId, moduleId: undefined })
const kept = (deviceId: string, subscriptions: number): KeptSession => ({
  ...id(deviceId),
  subscriptions,
  keptSeconds: undefined,
})
const tick = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

class MemoryStore implements KeptSessions {
  readonly rows = new Map<string, KeptSession>()
  readonly statements: string[] = []
  isAway = false

  async sessions(ids: Parameters<KeptSessions['sessions']>[0]): Promise<readonly KeptSession[]> {
    this.#statement(`asked ${ids.length}`)
    return ids.flatMap((asked) => this.rows.get(identityText(asked)) ?? [])
  }

  async keepSessions(sessions: readonly KeptSession[]): Promise<void> {
    this.#statement(`kept ${sessions.length}`)
    for (const session of sessions) this.rows.set(identityText(session), session)
  }

  #statement(text: string): void {
    if (this.isAway) throw new PenstockError('STORE_UNAVAILABLE', 'away')
    this.statements.push(text)
  }
}

function setUp() {
  const clock = virtualClock()
  const store = new MemoryStore()
  const keeper = new SessionKeeper(store, clock, silentLogger)
  const pass = async (ms: number): Promise<void> => {
    const untilMs = clock.nowMs() + ms
    await tick()
    while (clock.step(untilMs)) await tick()
  }
  return { store, keeper, pass }
}

describe('sessions that are kept', () => {
  test('are asked for and written together', async () => {
    const { store, keeper } = setUp()
    store.rows.set('d1', kept('d1', 3))
    const found = Promise.all(['d1', 'd2', 'd3'].map((deviceId) => keeper.lookup(id(deviceId), () => {})))
    for (let index = 0; index < 4; index++) keeper.keep(kept(`e${index % 2}`, index))
    expect(await found).toEqual([3, 0, 0])
    await tick()
    expect(store.statements).toEqual(['asked 3', 'kept 2'])
    expect([store.rows.get('e0')?.subscriptions, store.rows.get('e1')?.subscriptions]).toEqual([2, 3])
  })

  test('count from when they are told, not from when they are written', async () => {
    const { store, keeper } = setUp()
    store.isAway = true
    keeper.keep(kept('d1', 7))
    expect(await keeper.lookup(id('d1'), () => {})).toBe(7)
    store.isAway = false
    await keeper.close()
    expect(store.rows.get('d1')?.subscriptions).toBe(7)
  })

  test('of which the store says nothing in time are told late, unless nobody waits any more', async () => {
    const { store, keeper, pass } = setUp()
    store.rows.set('d1', kept('d1', 3))
    store.rows.set('d2', kept('d2', 4))
    store.isAway = true
    const late: string[] = []
    const listener = (deviceId: string) => (found: number) => late.push(`${deviceId} ${found}`)
    const [first, second] = [listener('d1'), listener('d2')]
    const found = Promise.all([keeper.lookup(id('d1'), first), keeper.lookup(id('d2'), second)])
    await pass(1_500)
    expect(await found).toEqual([undefined, undefined])
    keeper.forget(id('d2'), second)
    store.isAway = false
    await pass(2_000)
    expect(late).toEqual(['d1 3'])
    await keeper.close()
  })

  test('are told to the newer connection of a device, though the older one ends after it asked', async () => {
    const { store, keeper, pass } = setUp()
    store.rows.set('d1', kept('d1', 3))
    store.isAway = true
    const late: string[] = []
    const [older, newer] = ['older', 'newer'].map((name) => (found: number) => late.push(`${name} ${found}`))
    const found = Promise.all([keeper.lookup(id('d1'), older!), keeper.lookup(id('d1'), newer!)])
    await pass(1_500)
    expect(await found).toEqual([undefined, undefined])
    keeper.forget(id('d1'), older!)
    store.isAway = false
    await pass(2_000)
    expect(late).toEqual(['newer 3'])
    await keeper.close()
  })
})
