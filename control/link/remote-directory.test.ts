import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Announcement } from '#control/presence/presence.ts'
import type { Invalidation } from '#control/store/changes.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { type LinkVersion, versionQuestion } from '#runtime/line-rpc/link-version.ts'
import { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { directoryLimits } from './directory-contract.ts'
import { RemoteDirectory } from './remote-directory.ts'

/** A question with its number, or a push. */
interface Asked {
  readonly n?: number
  readonly q?: string
  readonly p?: string
  readonly v?: unknown
}

/** A control role that does nothing by itself but to say its version: what it was asked is in `asked`, what it says is up to the test. */
class SilentControl {
  readonly asked: Asked[] = []
  /** Left out: it is of before links had versions. */
  version: LinkVersion | undefined
  readonly #path: string
  #server: Server | undefined
  #channel: SocketChannel | undefined

  constructor(path: string) {
    this.#path = path
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => {
      this.#channel = new SocketChannel(socket, directoryLimits)
      this.#channel.listen({ onValue: (value) => this.#hear(value as Asked), onEnd: () => socket.destroy() })
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.#path, resolve))
  }

  #hear(asked: Asked): void {
    if (asked.q !== versionQuestion) this.asked.push(asked)
    else if (this.version) this.say({ n: asked.n, v: this.version })
    else this.say({ n: asked.n, fault: 'not known', code: 'LINK_QUESTION_UNKNOWN' })
  }

  say(value: object): void {
    this.#channel?.send(value)
  }

  /** Says so to the question of this name that was asked last. */
  answer(name: string, found: unknown): void {
    const n = this.asked.findLast(({ q }) => q === name)?.n
    if (n === undefined) throw new Error(`nobody asked for ${name}`)
    this.say({ n, v: found })
  }

  countOf(name: string): number {
    return this.asked.filter(({ q, p }) => q === name || p === name).length
  }

  async close(): Promise<void> {
    this.#channel?.destroy()
    const server = this.#server
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()))
    this.#server = undefined
  }
}

let folder = ''
let control = new SilentControl('')
let directory: RemoteDirectory | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-directory-'))
  control = new SilentControl(join(folder, 'control.sock'))
})
afterEach(async () => {
  await directory?.close()
  await control.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Its time-out for answers never comes, however busy the machine is. */
const patientClock: Clock = {
  ...systemClock,
  after: (delayMs, action) => (delayMs < 5_000 ? systemClock.after(delayMs, action) : () => {}),
}

const warned: string[] = []
const reasons: unknown[] = []
const logger: Logger = {
  ...silentLogger,
  warn: (text, fields) => {
    warned.push(text)
    reasons.push(fields?.reason)
  },
}

function open(clock = patientClock): RemoteDirectory {
  directory = new RemoteDirectory(join(folder, 'control.sock'), logger, clock)
  return directory
}

const until = (condition: () => boolean) => vi.waitUntil(condition, { timeout: 30_000, interval: 5 })
const unavailable = (message: string) => ({
  code: 'AUTH_DIRECTORY_UNAVAILABLE',
  message: expect.stringContaining(message),
})

const empty = { policies: [], authorities: [] }

describe('the directory of an edge process', () => {
  test('a control role of another version is asked nothing; why is said once, and it is asked once it is another one', async () => {
    control.version = { spoken: 9, oldest: 8 }
    await control.listen()
    reasons.length = 0
    const remote = open()
    const found = remote.lookup('d1')
    await until(() => reasons.length > 0)
    expect(reasons).toEqual([expect.stringContaining('upgrade this process')])
    control.version = undefined
    await until(() => control.countOf('lookup') === 1)
    control.answer('lookup', [])
    expect(await found).toBeUndefined()
    expect(reasons.filter((reason) => String(reason).includes('upgrade'))).toHaveLength(1)
  })

  test('each question has its own answer, in any order', async () => {
    await control.listen()
    const remote = open()
    const [quotas, reset, announced] = [remote.quotas(), remote.reset('edge-0', 7), remote.announce('e', [])]
    await until(() => control.asked.length === 3)
    expect(control.asked).toMatchObject([
      { q: 'quotas' },
      { q: 'reset', v: { edgeId: 'edge-0', atMs: 7 } },
      { q: 'announce', v: { edge: 'e', opened: [] } },
    ])
    control.answer('announce', 12)
    control.answer('quotas', [{ deviceId: 'q' }])
    control.answer('reset', [{ deviceId: 'd' }, { deviceId: 'd', moduleId: 'm' }])
    expect(await announced).toBe(12)
    expect(await quotas).toEqual([{ deviceId: 'q' }])
    expect(await reset).toEqual([
      { deviceId: 'd', moduleId: undefined },
      { deviceId: 'd', moduleId: 'm' },
    ])
  })

  test('a fault is told to who asked, and only there', async () => {
    await control.listen()
    const remote = open()
    const [trust, beat] = [remote.trust(), remote.beat('edge-0', [{ deviceId: 'd', moduleId: undefined, atMs: 3 }])]
    await until(() => control.asked.length === 2)
    expect(control.asked[1]).toMatchObject({ q: 'beat', v: { edgeId: 'edge-0', heard: [{ deviceId: 'd', atMs: 3 }] } })
    const failed = expect(trust).rejects.toMatchObject(unavailable('no store'))
    control.say({ n: control.asked[0]?.n, fault: 'no store', code: 'AUTH_DIRECTORY_UNAVAILABLE' })
    await failed
    control.answer('beat', undefined)
    await beat
  })

  test('what was asked before anybody listened, or of one that is gone, is asked again', async () => {
    const remote = open()
    const trust = remote.trust()
    await control.listen()
    await until(() => control.countOf('trust') === 1)
    await control.close()
    const quotas = remote.quotas()
    await control.listen()
    await until(() => control.countOf('trust') === 2 && control.countOf('quotas') === 1)
    control.answer('trust', empty)
    control.answer('quotas', [])
    expect([await trust, await quotas]).toEqual([empty, []])
    // What is answered is not asked again.
    await control.close()
    const later = remote.trust()
    await control.listen()
    await until(() => control.countOf('trust') === 3)
    control.answer('trust', empty)
    expect([await later, control.countOf('quotas')]).toEqual([empty, 1])
  })

  test('after each new connection but the first all that was told is invalid', async () => {
    await control.listen()
    const remote = open()
    const heard: Invalidation[] = []
    remote.onInvalidate((invalidation) => heard.push(invalidation))
    void remote.trust().catch(() => {})
    await until(() => control.countOf('trust') === 1)
    expect(heard).toEqual([])
    for (const times of [1, 2]) {
      await control.close()
      await control.listen()
      await until(() => heard.length === times)
    }
    expect(heard).toEqual([{ kind: 'everything' }, { kind: 'everything' }])
  })

  test('notices and announcements reach who listens, and nobody who has ended it', async () => {
    await control.listen()
    const remote = open()
    const invalidations: Invalidation[] = []
    const announcements: Announcement[] = []
    const ended: unknown[] = []
    remote.onInvalidate((invalidation) => invalidations.push(invalidation))
    remote.onInvalidate((invalidation) => ended.push(invalidation))()
    remote.onAnnounced((announcement) => announcements.push(announcement))
    remote.onAnnounced((announcement) => ended.push(announcement))()
    void remote.trust().catch(() => {})
    await until(() => control.countOf('trust') === 1)
    control.say({ p: 'invalid', v: { kind: 'devices', deviceIds: ['d'] } })
    control.say({ p: 'announced', v: { edge: 'other', opened: [{ deviceId: 'd', moduleId: 'm', atMs: 9 }] } })
    await until(() => announcements.length === 1)
    expect(invalidations).toEqual([{ kind: 'devices', deviceIds: ['d'] }])
    expect(announcements).toEqual([{ edge: 'other', opened: [{ deviceId: 'd', moduleId: 'm', atMs: 9 }] }])
    expect(ended).toEqual([])
  })

  test('connection states wait for a connection, the newest of them as far as there is room [G-4]', async () => {
    const remote = open()
    const state = (atMs: number) => ({ deviceId: 'd', moduleId: undefined, connected: true, edgeId: 'e', atMs })
    for (let atMs = 0; atMs < 10_002; atMs++) remote.report([state(atMs)])
    await control.listen()
    await until(() => control.countOf('presence') === 1)
    const told = control.asked.find(({ p }) => p === 'presence')?.v as { readonly atMs: number }[]
    expect([told.length, told[0]?.atMs, told.at(-1)?.atMs]).toEqual([10_000, 2, 10_001])
    remote.report([state(7)])
    await until(() => control.countOf('presence') === 2)
    expect(control.asked.at(-1)).toEqual({ p: 'presence', v: [JSON.parse(JSON.stringify(state(7)))] })
    warned.length = 0
    await control.close()
    await until(() => warned.length === 1)
    remote.report([state(8)])
    await control.listen()
    await until(() => control.countOf('presence') === 3)
    expect(control.asked.at(-1)).toEqual({ p: 'presence', v: [JSON.parse(JSON.stringify(state(8)))] })
  })

  test('what is not answered within five seconds is given up', async () => {
    const clock = virtualClock()
    const remote = open(clock)
    let failed = false
    const trust = expect(remote.trust()).rejects.toMatchObject(unavailable('did not answer'))
    void trust.then(() => {
      failed = true
    })
    while (!failed) {
      clock.step()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await trust
    expect(clock.nowMs()).toBeGreaterThanOrEqual(5_000)
    expect(clock.nowMs()).toBeLessThan(7_000)
    // A late answer is nobody's: nothing waits for it.
    await expect(remote.close()).resolves.toBeUndefined()
  })

  test('a notice of a newer version means that anything may have changed; another push of it means nothing', async () => {
    await control.listen()
    const remote = open()
    const heard: Invalidation[] = []
    remote.onInvalidate((invalidation) => heard.push(invalidation))
    void remote.trust().catch(() => {})
    await until(() => control.countOf('trust') === 1)
    warned.length = 0
    control.say({ p: 'twins', v: [] })
    control.say({ p: 'invalid', v: { kind: 'twins', deviceIds: ['d'] } })
    await until(() => heard.length === 1)
    expect([heard, warned.length]).toEqual([[{ kind: 'everything' }], 2])
  })

  test('an answer that is not what was agreed on is no answer', async () => {
    await control.listen()
    const remote = open()
    const [trust, lookup] = [remote.trust(), remote.lookup('d')]
    const failed = [expect(trust).rejects.toMatchObject(unavailable('.policies is no list'))]
    failed.push(expect(lookup).rejects.toMatchObject(unavailable('is none of enabled, disabled')))
    await until(() => control.asked.length === 2)
    control.answer('trust', { policies: 'all' })
    control.answer('lookup', [{ deviceId: 'd', generationId: 'g', status: 'admin' }])
    await Promise.all(failed)
  })

  test('once it is closed nothing waits, and nothing is asked', async () => {
    await control.listen()
    const remote = open()
    const waiting = expect(remote.trust()).rejects.toMatchObject(unavailable('closed'))
    await until(() => control.countOf('trust') === 1)
    await remote.close()
    await waiting
    await expect(remote.quotas()).rejects.toMatchObject(unavailable('closed'))
    expect(control.asked).toHaveLength(1)
  })
})
