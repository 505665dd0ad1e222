import { describe, expect, test } from 'vitest'
import type { DesiredChange, DesiredSeen, DeviceTwins, TwinNotice } from '#control/twins/twins.ts'
import type { DesiredDelivery, Outcome } from '#ingest/session/delivery.ts'
import { tickMs } from '#ingest/session/edge-context.ts'
import type { Session } from '#ingest/session/session.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { DesiredFollowers } from './desired-followers.ts'

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
}

/** Twins of which only versions matter: version n is {"n":n}, and a patch says since when. */
class FakeTwins implements DeviceTwins {
  readonly versions = new Map<string, number>()
  readonly kept = new Map<string, number>()
  readonly asked: number[] = []
  isAway = false
  /** Called before and behind each look at what is stored, where anything may happen. */
  onStep = (): void => {}
  #listener: (notice: TwinNotice) => void = () => {}

  set(deviceId: string, version: number, isNoticed = true): void {
    this.versions.set(deviceId, version)
    if (isNoticed) this.notice([{ deviceId, moduleId: undefined, version }])
  }

  notice(notice: TwinNotice): void {
    this.#listener(notice)
  }

  async read(id: Parameters<DeviceTwins['read']>[0]) {
    const desiredVersion = await this.#look(() => this.versions.get(id.deviceId))
    if (desiredVersion === undefined) throw new PenstockError('REGISTRY_DEVICE_UNKNOWN', 'gone')
    return { text: '', desiredVersion }
  }

  async desiredSince(seen: readonly DesiredSeen[]): Promise<readonly DesiredChange[]> {
    this.asked.push(seen.length)
    return this.#look(() =>
      seen.flatMap((one) => {
        const version = this.versions.get(one.deviceId) ?? 0
        return version > one.version ? [{ ...one, version, text: JSON.stringify({ since: one.version }) }] : []
      }),
    )
  }

  async seen(ids: Parameters<DeviceTwins['seen']>[0]): Promise<readonly DesiredSeen[]> {
    return this.#look(() =>
      ids.flatMap((id) => {
        const version = this.kept.get(id.deviceId)
        return version === undefined ? [] : [{ ...id, version }]
      }),
    )
  }

  saw(seen: readonly DesiredSeen[]): void {
    for (const { deviceId, version } of seen) this.kept.set(deviceId, version)
  }

  report(): Promise<number> {
    throw new Error('nothing is reported here')
  }

  onDesired(listener: (notice: TwinNotice) => void): () => void {
    this.#listener = listener
    return () => {}
  }

  async #look<T>(read: () => T): Promise<T> {
    this.onStep()
    await new Promise(setImmediate)
    if (this.isAway) throw new PenstockError('STORE_UNAVAILABLE', 'silent')
    const found = read()
    this.onStep()
    await new Promise(setImmediate)
    return found
  }
}

/** A device that writes down what it is told: `since→version`. */
class FakeSession {
  readonly deviceId: string
  readonly moduleId = undefined
  readonly told: string[] = []
  readonly carrier = { silentMs: 0 }
  outcome: Outcome | Promise<Outcome> = 'sent'

  constructor(deviceId: string) {
    this.deviceId = deviceId
  }

  async send({ version, body }: DesiredDelivery): Promise<Outcome> {
    const outcome = await this.outcome
    if (outcome === 'sent' || outcome === 'acknowledged')
      this.told.push(`${JSON.parse(Buffer.from(body).toString()).since}→${version}`)
    return outcome
  }
}

function followed(catchesUp = true) {
  const store = new FakeTwins()
  const clock = virtualClock()
  const sessions = new Map<string, Session>()
  const edge = { sessions, clock, ticks: 0, logger: silentLogger, metrics: new Metrics(metricsTable) }
  const followers = new DesiredFollowers(edge, store, catchesUp)
  const connect = (deviceId: string): FakeSession & Session => {
    const session = new FakeSession(deviceId) as unknown as FakeSession & Session
    sessions.set(identityText({ deviceId, moduleId: undefined }), session)
    return session
  }
  const end = async (session: Session): Promise<void> => {
    sessions.delete(session.deviceId ?? '')
    followers.ended(session)
    await turns()
  }
  return { store, clock, edge, followers, connect, end }
}

describe('a device that listens to its desired properties [G-8]', () => {
  test('is told each change from then on, and nothing of before', async () => {
    const { store, followers, connect } = followed()
    store.set('d', 5)
    const session = connect('d')
    followers.follow(session)
    await turns()
    expect(session.told).toEqual([])
    store.set('d', 6)
    await turns()
    store.set('d', 7)
    await turns()
    expect(session.told).toEqual(['5→6', '6→7'])
  })

  test('is told in one patch what changed while one was under way, and never an older one after a newer one', async () => {
    const { store, followers, connect } = followed()
    store.set('d', 1)
    const session = connect('d')
    followers.follow(session)
    await turns()
    let write = (_: Outcome): void => {}
    session.outcome = new Promise((resolve) => {
      write = resolve
    })
    for (const version of [2, 3, 4]) {
      store.set('d', version)
      await turns()
    }
    store.notice([{ deviceId: 'd', moduleId: undefined, version: 3 }])
    write('sent')
    session.outcome = 'sent'
    await turns()
    expect(session.told).toEqual(['1→2', '2→4'])
  })

  test('is told what changed between its read and its subscription, and between the subscription and our look at it', async () => {
    const { store, followers, connect } = followed()
    store.set('d', 3)
    const session = connect('d')
    followers.wasRead(session, 3)
    store.set('d', 4)
    followers.follow(session)
    await turns()
    // Kept at once: an edge that is killed tells nothing at its end.
    expect([session.told, store.kept.get('d')]).toEqual([['3→4'], 3])
    const other = connect('other')
    store.set('other', 8)
    followers.follow(other)
    store.set('other', 9)
    await turns()
    expect(other.told).toEqual(['8→9'])
  })

  test('hears of what it missed when notices were missed, and is asked of with the others', async () => {
    const { store, followers, connect } = followed()
    const sessions = Array.from({ length: limits.twinGroupMax + 1 }, (_, index) => {
      store.set(`d${index}`, 1)
      const session = connect(`d${index}`)
      followers.follow(session)
      return session
    })
    await turns()
    store.asked.length = 0
    store.set('d7', 2, false)
    store.notice(undefined)
    await turns()
    expect(store.asked).toEqual([limits.twinGroupMax, 1])
    expect(sessions.flatMap(({ told }) => told)).toEqual(['1→2'])
  })

  test('gets the newest once the store is back, and once it reads again', async () => {
    const { store, clock, followers, connect } = followed()
    store.set('d', 1)
    const session = connect('d')
    followers.follow(session)
    await turns()
    store.isAway = true
    store.set('d', 2)
    await turns()
    store.isAway = false
    session.outcome = 'full'
    clock.step()
    await turns()
    expect(session.told).toEqual([])
    session.outcome = 'sent'
    store.set('d', 3, false)
    clock.step()
    await turns()
    expect(session.told).toEqual(['1→3'])
  })

  test('is told once the store answers for it, where it answered for another device or a read had no version', async () => {
    const { store, clock, followers, connect } = followed()
    store.set('d', 1)
    const session = connect('d')
    followers.follow(session)
    await turns()
    expect(() => followers.wasRead(session, Number.NaN)).toThrow('desired properties have a version')
    const inOrder = store.desiredSince.bind(store)
    store.desiredSince = async () => [{ deviceId: 'e', moduleId: undefined, version: 2, text: '{}' }]
    store.set('d', 2)
    await turns()
    expect(session.told).toEqual([])
    store.desiredSince = inOrder
    clock.step()
    await turns()
    expect(session.told).toEqual(['1→2'])
  })

  test('that read its twin meanwhile is told only what is newer', async () => {
    const { store, followers, connect } = followed()
    store.set('d', 1)
    const session = connect('d')
    followers.follow(session)
    await turns()
    store.set('d', 2)
    followers.wasRead(session, 2)
    await turns()
    store.set('d', 3)
    await turns()
    expect(session.told).toEqual(['2→3'])
    expect(followers.pushedTo(session)).toBe(3)
  })

  test('that does not listen any more, or has ended, is told nothing', async () => {
    const { store, followers, connect, end } = followed()
    store.set('d', 1)
    const session = connect('d')
    followers.follow(session)
    await turns()
    followers.unfollow(session)
    store.set('d', 2)
    await turns()
    followers.follow(session)
    await turns()
    expect(session.told).toEqual(['1→2'])
    store.set('d', 3)
    await end(session)
    expect(session.told).toEqual(['1→2'])
    expect(followers.pushedTo(session)).toBe(0)
    // An answer to its last request comes too late.
    followers.wasRead(session, 3)
    expect(followers.pushedTo(session)).toBe(0)
  })
})

describe('a device that was away', () => {
  test('is told what changed meanwhile, from what it certainly had', async () => {
    const { store, clock, edge, followers, connect, end } = followed()
    store.set('d', 1)
    const first = connect('d')
    followers.follow(first)
    await turns()
    first.outcome = 'acknowledged'
    store.set('d', 2)
    await turns()
    first.outcome = 'sent'
    store.set('d', 3)
    await turns()
    await end(first)
    store.set('d', 5)
    const second = connect('d')
    followers.follow(second)
    await turns()
    // Nothing says that 3 came.
    expect([store.kept.get('d'), second.told]).toEqual([2, ['2→5']])
    // A process that stood still meanwhile listened to nobody.
    clock.after(1_500, () => {})
    clock.step()
    await end(second)
    expect(store.kept.get('d')).toBe(2)
    const third = connect('d')
    followers.follow(third)
    await turns()
    edge.ticks += 1_500 / tickMs
    await end(third)
    expect(store.kept.get('d')).toBe(5)
  })

  test.each(['before', 'while'] as const)(
    'is told what it missed, also if it read its twin %s it was found out what it has, and its process was killed',
    async (when) => {
      const { store, followers, connect } = followed()
      store.set('d', 1)
      const first = connect('d')
      followers.follow(first)
      const isRead = () => followers.wasRead(first, 1)
      if (when === 'before') isRead()
      else
        store.seen = async () => {
          isRead()
          return []
        }
      await turns()
      store.set('d', 2)
      await turns()
      expect([first.told, store.kept.get('d')]).toEqual([['1→2'], 1])
      // Nothing more is heard of that process.
      const other = followed()
      other.store.kept.set('d', store.kept.get('d') ?? Number.NaN)
      other.store.set('d', 4)
      const second = other.connect('d')
      other.followers.follow(second)
      await turns()
      expect(second.told).toEqual(['1→4'])
    },
  )

  test('is told nothing where that is switched off, and nothing is kept of it', async () => {
    const { store, followers, connect, end } = followed(false)
    store.kept.set('d', 1)
    store.set('d', 4)
    const session = connect('d')
    followers.follow(session)
    await turns()
    store.set('d', 5)
    await turns()
    await end(session)
    expect([session.told, store.kept.get('d')]).toEqual([['4→5'], 1])
  })

  test('that was deleted meanwhile costs the others nothing', async () => {
    const { store, followers, connect } = followed()
    store.set('d', 1)
    const [gone, session] = [connect('gone'), connect('d')]
    followers.follow(gone)
    followers.follow(session)
    await turns()
    store.set('d', 2)
    await turns()
    expect([gone.told, session.told]).toEqual([[], ['1→2']])
  })
})

const happenings = [
  'a change',
  'a change of which no notice comes',
  'an old notice',
  'a read of its twin',
  'UNSUBSCRIBE and SUBSCRIBE',
  'it does not read',
  'the store is away',
] as const

describe('a device that catches up is told each version once on a connection, whatever happens at whichever step of it [G-8]', () => {
  const stepsMax = 8
  const all = happenings.flatMap((what) => Array.from({ length: stepsMax }, (_, step) => ({ what, step })))

  test.each(happenings)('%s, and then another', async (first) => {
    for (const one of all.filter(({ what }) => what === first))
      for (const other of all) {
        const { store, clock, followers, connect } = followed()
        store.kept.set('d', 1)
        store.set('d', 3)
        const session = connect('d')
        let version = 3
        const happen = {
          'a change': () => store.set('d', ++version),
          'a change of which no notice comes': () => store.set('d', ++version, false),
          'an old notice': () => store.notice([{ deviceId: 'd', moduleId: undefined, version: 3 }]),
          'a read of its twin': () => followers.wasRead(session, version),
          'UNSUBSCRIBE and SUBSCRIBE': () => {
            followers.unfollow(session)
            followers.follow(session)
          },
          'it does not read': () => {
            session.outcome = 'full'
          },
          'the store is away': () => {
            store.isAway = true
          },
        }
        let step = 0
        store.onStep = () => {
          session.outcome = 'sent'
          store.isAway = false
          for (const { what, step: at } of [one, other]) if (at === step) happen[what]()
          step++
        }
        followers.follow(session)
        const settle = async (): Promise<void> => {
          for (let round = 0; round < 3; round++) {
            await turns()
            clock.step()
          }
        }
        await settle()
        store.onStep = () => {}
        session.outcome = 'sent'
        store.isAway = false
        store.notice(undefined)
        await settle()
        const versions = session.told.map((text) => Number(text.split('→')[1]))
        const label = `${one.what} at ${one.step}, ${other.what} at ${other.step}: ${session.told}`
        expect(versions, label).toEqual([...new Set(versions)].toSorted((a, b) => a - b))
        expect(followers.pushedTo(session), label).toBe(version)
      }
  })
})

test('whatever happens and in whatever order, versions only grow and the newest arrives [G-8]', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
  const random = seededRandom(seed)
  for (let round = 0; round < 20; round++) {
    const { store, clock, followers, connect, end } = followed()
    store.set('d', 1)
    let session = connect('d')
    followers.follow(session)
    await turns()
    let version = 1
    for (let step = 0; step < 40; step++) {
      store.isAway = random.chance(0.2)
      session.outcome = random.chance(0.2) ? 'full' : random.chance(0.5) ? 'sent' : 'acknowledged'
      if (random.chance(0.5)) store.set('d', ++version, random.chance(0.7))
      if (random.chance(0.1)) store.notice([{ deviceId: 'd', moduleId: undefined, version: 1 + random.below(version) }])
      if (random.chance(0.1)) followers.wasRead(session, version)
      if (random.chance(0.1)) {
        await end(session)
        session = connect('d')
        followers.follow(session)
      }
      if (random.chance(0.3)) clock.step()
      if (random.chance(0.7)) await turns()
    }
    store.isAway = false
    session.outcome = 'acknowledged'
    store.notice(undefined)
    for (let step = 0; step < 5; step++) {
      await turns()
      clock.step()
    }
    await turns()
    const told = session.told.map((text) => text.split('→').map(Number) as [number, number])
    for (const [index, [since, to]] of told.entries()) {
      expect(to, `SEED=${seed}`).toBeGreaterThan(since)
      expect(to, `SEED=${seed}`).toBeGreaterThan(told[index - 1]?.[1] ?? 0)
    }
    // Told, or read.
    expect(followers.pushedTo(session), `SEED=${seed}`).toBe(version)
    if (told.length > 0) expect(told.at(-1)?.[1], `SEED=${seed}`).toBeLessThanOrEqual(version)
  }
})
