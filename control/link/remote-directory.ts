import { connect, type Socket } from 'node:net'
import { type Clock, sleep, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type {
  ActivityRecord,
  Announcement,
  DeviceCredentials,
  DeviceQuota,
  PresenceRecord,
  Trust,
} from '../registry.ts'
import type { Directory, Invalidation } from './directory.ts'
import {
  activityRecord,
  activityTuple,
  type DirectoryAnswer,
  type DirectoryRequest,
  type IdTuple,
  idFromTuple,
  onLines,
  presenceTuple,
  writeLine,
} from './directory-protocol.ts'
import { LookupBatch } from './lookup-batch.ts'

/** A request that is not answered by then is given up. */
const answerMsMax = 5_000
const reconnectDelayMsMin = 20
const reconnectDelayMsMax = 1_000
const presenceWaitingMax = 10_000

interface Waiting {
  readonly request: DirectoryRequest
  readonly resolve: (found: unknown) => void
  readonly reject: (error: PenstockError) => void
  readonly cancelTimeout: () => void
}

/**
 * The directory of an edge process, asked over the control role's socket. Connects when made and again whenever the
 * connection is lost; requests without an answer by then are made again, for up to 5 s each. After each new connection all that was told is invalid.
 */
export class RemoteDirectory implements Directory {
  readonly #path: string
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #batch: LookupBatch
  readonly #listeners = new Set<(invalidation: Invalidation) => void>()
  readonly #announcedListeners = new Set<(announcement: Announcement) => void>()
  readonly #waiting = new Map<number, Waiting>()
  readonly #closed = new AbortController()
  readonly #running: Promise<void>
  #presence: PresenceRecord[] = []
  #socket: Socket | undefined
  #number = 0

  constructor(path: string, logger: Logger, clock: Clock = systemClock) {
    this.#path = path
    this.#logger = logger
    this.#clock = clock
    this.#batch = new LookupBatch((lookup) => this.#request((n) => ({ n, lookup })) as Promise<DeviceCredentials[]>)
    this.#running = this.#run()
  }

  lookup(deviceId: string): Promise<DeviceCredentials | undefined> {
    return this.#batch.lookup(deviceId)
  }

  trust(): Promise<Trust> {
    return this.#request((n) => ({ n, trust: 1 })) as Promise<Trust>
  }

  quotas(): Promise<readonly DeviceQuota[]> {
    return this.#request((n) => ({ n, quotas: 1 })) as Promise<readonly DeviceQuota[]>
  }

  async reset(edgeId: string, atMs: number): Promise<readonly IdentityId[]> {
    return ((await this.#request((n) => ({ n, reset: edgeId, atMs }))) as IdTuple[]).map(idFromTuple)
  }

  async beat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void> {
    await this.#request((n) => ({ n, beat: edgeId, heard: heard.map(activityTuple) }))
  }

  async announce(edge: string, opened: readonly ActivityRecord[]): Promise<number> {
    return (await this.#request((n) => ({ n, announce: edge, opened: opened.map(activityTuple) }))) as number
  }

  onAnnounced(listener: (announcement: Announcement) => void): () => void {
    this.#announcedListeners.add(listener)
    return () => this.#announcedListeners.delete(listener)
  }

  onInvalidate(listener: (invalidation: Invalidation) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  report(records: readonly PresenceRecord[]): void {
    if (this.#socket) {
      writeLine(this.#socket, { presence: records.map(presenceTuple) })
      return
    }
    this.#presence.push(...records)
    if (this.#presence.length > presenceWaitingMax) this.#presence = this.#presence.slice(-presenceWaitingMax)
  }

  async close(): Promise<void> {
    this.#closed.abort()
    this.#socket?.destroy()
    this.#listeners.clear()
    this.#announcedListeners.clear()
    await this.#running
    for (const n of [...this.#waiting.keys()]) this.#fail(n, 'the directory was closed')
  }

  #request(make: (n: number) => DirectoryRequest): Promise<unknown> {
    const n = ++this.#number
    return new Promise((resolve, reject) => {
      if (this.#closed.signal.aborted) return reject(unavailable('the directory was closed'))
      const cancelTimeout = this.#clock.after(answerMsMax, () => this.#fail(n, 'the control role did not answer'))
      const request = make(n)
      this.#waiting.set(n, { request, resolve, reject, cancelTimeout })
      if (this.#socket) writeLine(this.#socket, request)
    })
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    let delayMs = reconnectDelayMsMin
    let connectedBefore = false
    while (!signal.aborted) {
      const lost = await this.#connect(connectedBefore)
      if (lost) {
        connectedBefore = true
        delayMs = reconnectDelayMsMin
        await lost.promise
        this.#socket = undefined
        if (!signal.aborted) this.#logger.warn('the connection to the control role was lost')
      }
      await sleep(this.#clock, delayMs, signal)
      delayMs = Math.min(delayMs * 2, reconnectDelayMsMax)
    }
  }

  /** `undefined` if nobody listens; else a promise of the connection's end, boxed so that it is not awaited. */
  #connect(again: boolean): Promise<{ promise: Promise<void> } | undefined> {
    const socket = connect(this.#path)
    const ended = new Promise<void>((resolve) => socket.on('close', () => resolve()))
    socket.on('error', () => socket.destroy())
    onLines(socket, (value) => this.#take(value as DirectoryAnswer))
    return new Promise((resolve) => {
      socket.once('connect', () => {
        if (this.#closed.signal.aborted) socket.destroy()
        this.#socket = socket
        if (again) this.#emit({ kind: 'everything' })
        // All requests may be made twice.
        for (const { request } of this.#waiting.values()) writeLine(socket, request)
        this.report(this.#presence.splice(0))
        resolve({ promise: ended })
      })
      ended.then(() => resolve(undefined))
    })
  }

  #take(answer: DirectoryAnswer): void {
    if ('invalid' in answer) this.#emit(answer.invalid)
    else if ('announced' in answer) {
      const announcement = { edge: answer.announced, opened: answer.opened.map(activityRecord) }
      for (const listener of this.#announcedListeners) listener(announcement)
    } else if ('fault' in answer) this.#fail(answer.n, answer.fault)
    else {
      const waiting = this.#waiting.get(answer.n)
      this.#waiting.delete(answer.n)
      waiting?.cancelTimeout()
      waiting?.resolve(answer.found)
    }
  }

  #fail(n: number, why: string): void {
    const waiting = this.#waiting.get(n)
    if (!waiting) return
    this.#waiting.delete(n)
    waiting.cancelTimeout()
    waiting.reject(unavailable(why))
  }

  #emit(invalidation: Invalidation): void {
    for (const listener of this.#listeners) listener(invalidation)
  }
}

function unavailable(why: string): PenstockError {
  return new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', why)
}
