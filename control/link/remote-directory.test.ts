import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import type { Announcement } from '../registry.ts'
import type { Invalidation } from './directory.ts'
import { type DirectoryAnswer, onLines, writeLine } from './directory-contract.ts'
import { RemoteDirectory } from './remote-directory.ts'

type Asked = Readonly<Record<string, unknown>>

/** A control role that does nothing by itself: what it was asked is in `asked`, what it says is up to the test. */
class SilentControl {
  readonly asked: Asked[] = []
  readonly #path: string
  #server: Server | undefined
  #socket: Socket | undefined

  constructor(path: string) {
    this.#path = path
  }

  async listen(): Promise<void> {
    const server = createServer((socket) => {
      this.#socket = socket
      socket.on('error', () => {})
      onLines(socket, (value) => this.#hear(value as Asked))
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.#path, resolve))
  }

  #hear(asked: Asked): void {
    // Told at each connection, also where there is nothing to tell.
    const isNothing = Array.isArray(asked.presence) && asked.presence.length === 0
    if (!isNothing) this.asked.push(asked)
  }

  say(answer: DirectoryAnswer): void {
    if (this.#socket) writeLine(this.#socket, answer)
  }

  /** Says so to the request with this field that was asked last. */
  answer(field: string, found: unknown): void {
    const n = this.asked.findLast((asked) => field in asked)?.n
    if (typeof n !== 'number') throw new Error(`nobody asked for ${field}`)
    this.say({ n, found })
  }

  countOf(field: string): number {
    return this.asked.filter((asked) => field in asked).length
  }

  async close(): Promise<void> {
    this.#socket?.destroy()
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
const logger: Logger = { ...silentLogger, warn: (text) => warned.push(text) }

function open(clock = patientClock): RemoteDirectory {
  directory = new RemoteDirectory(join(folder, 'control.sock'), logger, clock)
  return directory
}

const until = (condition: () => boolean) => vi.waitUntil(condition, { timeout: 20_000, interval: 5 })
const unavailable = (message: string) => ({
  code: 'AUTH_DIRECTORY_UNAVAILABLE',
  message: expect.stringContaining(message),
})

describe('the directory of an edge process', () => {
  test('each question has its own answer, in any order', async () => {
    await control.listen()
    const remote = open()
    const [quotas, reset, announced] = [remote.quotas(), remote.reset('edge-0', 7), remote.announce('e', [])]
    await until(() => control.asked.length === 3)
    expect(control.asked).toMatchObject([{ quotas: 1 }, { reset: 'edge-0', atMs: 7 }, { announce: 'e', opened: [] }])
    control.answer('announce', 12)
    control.answer('quotas', ['q'])
    control.answer('reset', [
      ['d', null],
      ['d', 'm'],
    ])
    expect(await announced).toBe(12)
    expect(await quotas).toEqual(['q'])
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
    expect(control.asked[1]).toMatchObject({ beat: 'edge-0', heard: [['d', null, 3]] })
    const failed = expect(trust).rejects.toMatchObject(unavailable('no store'))
    control.say({ n: control.asked[0]?.n as number, fault: 'no store' })
    await failed
    control.answer('beat', null)
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
    control.answer('trust', 'found')
    control.answer('quotas', [])
    expect([await trust, await quotas]).toEqual(['found', []])
    // What is answered is not asked again.
    await control.close()
    const later = remote.trust()
    await control.listen()
    await until(() => control.countOf('trust') === 3)
    control.answer('trust', 'later')
    expect([await later, control.countOf('quotas')]).toEqual(['later', 1])
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
    control.say({ invalid: { kind: 'devices', deviceIds: ['d'] } })
    control.say({ announced: 'other', opened: [['d', 'm', 9]] })
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
    const told = control.asked.find((asked) => 'presence' in asked)?.presence as unknown[][]
    expect([told.length, told[0]?.[4], told.at(-1)?.[4]]).toEqual([10_000, 2, 10_001])
    remote.report([state(7)])
    await until(() => control.countOf('presence') === 2)
    expect(control.asked.at(-1)).toEqual({ presence: [['d', null, true, 'e', 7]] })
    warned.length = 0
    await control.close()
    await until(() => warned.length === 1)
    remote.report([state(8)])
    await control.listen()
    await until(() => control.countOf('presence') === 3)
    expect(control.asked.at(-1)).toEqual({ presence: [['d', null, true, 'e', 8]] })
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
