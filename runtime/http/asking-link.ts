/**
 * The asking end of a request link (`link-frames.ts`):
 *
 *   connect ─▶ GET / with Upgrade ─▶ 101 ─▶ open ─▶ goodbye heard: no further request ─▶ closed, once all is answered
 *                  └ another answer: the other side knows no links          └ lost: whoever waits for an answer is told
 *
 * Asked for more than it may carry, it says that it has no room, and the request goes another way.
 */
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { limits } from '#schemas/limits.ts'
import type { Clock } from '../clock.ts'
import type { HttpAnswer } from './answer.ts'
import { requestLinkProtocol } from './head.ts'
import {
  answerPrefixBytes,
  type FrameListener,
  FrameReader,
  FrameWriter,
  frameKinds,
  frameRoomBytes,
} from './link-frames.ts'

export interface LinkedCall {
  readonly answered: Promise<HttpAnswer>
  /** Who asked has gone: the other side is told so, and the call ends. */
  leave(): void
}

interface Waiting {
  readonly untilMs: number
  readonly resolve: (answer: HttpAnswer) => void
  readonly reject: (fault: Error) => void
}

const connectMsMax = 10_000
const sweepMs = 1_000
const headEnd = Buffer.from('\r\n\r\n')
const headBytesMax = 16 * 1024

/**
 * Opens a link to the server at `origin`.
 * @param authority certificate that its own is signed by; `undefined`: those that Node trusts
 * @throws if it cannot be reached, or knows no links
 */
export async function openLink(origin: string, authority: string | undefined, clock: Clock): Promise<AskingLink> {
  const { protocol, hostname, port, host } = new URL(origin)
  const isTls = protocol === 'https:'
  const place = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (isTls ? 443 : 80)) }
  // An address is no name that is told (RFC 6066, section 3); the certificate is judged by it all the same.
  const told = isIP(place.host) === 0 ? { servername: place.host } : {}
  const socket = isTls
    ? connectTls({ ...place, ...told, ...(authority === undefined ? {} : { ca: authority }) })
    : connect(place)
  socket.setNoDelay(true)
  const head = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: ${requestLinkProtocol}\r\n\r\n`
  socket.once(isTls ? 'secureConnect' : 'connect', () => socket.write(head))
  try {
    const first = await answerTo(socket)
    return new AskingLink(socket, clock, first)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** @returns what came behind the head of the answer */
function answerTo(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let heard = Buffer.alloc(0)
    const onData = (bytes: Buffer): void => {
      heard = Buffer.concat([heard, bytes])
      const found = heard.indexOf(headEnd)
      if (found < 0 && heard.length <= headBytesMax) return
      if (found < 0 || !heard.toString('latin1').startsWith('HTTP/1.1 101 ')) reject(new Error('it knows no links'))
      socket.off('data', onData)
      socket.pause()
      socket.setTimeout(0)
      resolve(heard.subarray(found + headEnd.length))
    }
    socket.on('data', onData)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed the connection')))
    socket.setTimeout(connectMsMax, () => reject(new Error('the server did not answer')))
  })
}

export class AskingLink implements FrameListener {
  /** Resolves once it is closed. */
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #reader = new FrameReader(limits.linkAnswerBytesMax, this)
  readonly #writer: FrameWriter
  readonly #waiting = new Map<number, Waiting>()
  #number = 0
  #isLeaving = false
  #heardAtMs: number
  #usedAtMs: number
  #cancelSweep: () => void

  /** @param first bytes that came already */
  constructor(socket: Socket, clock: Clock, first: Buffer) {
    this.#socket = socket
    this.#clock = clock
    this.#heardAtMs = this.#usedAtMs = clock.monotonicMs()
    this.#writer = new FrameWriter(socket)
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#onClosed()
        resolve()
      })
    })
    socket.on('error', () => {}) // a `close` follows
    socket.on('data', (bytes) => {
      this.#heardAtMs = this.#clock.monotonicMs()
      this.#reader.read(bytes)
    })
    this.#cancelSweep = clock.after(sweepMs, () => this.#sweep())
    if (first.length > 0) this.#reader.read(first)
    socket.resume()
  }

  /** Whether it takes a request of so many bytes now. */
  hasRoom(bytes: number): boolean {
    return (
      !this.#isLeaving &&
      bytes <= limits.linkRequestBytesMax - frameRoomBytes &&
      this.#waiting.size < limits.linkRequestsMax &&
      this.#socket.writableLength < limits.linkWaitingBytesMax
    )
  }

  /**
   * HOT: per request. @param head as in HTTP/1.1, to the empty line, with the length of the body
   * @param waitMsMax after which nobody waits for an answer any more
   */
  ask(head: string, body: Uint8Array, waitMsMax: number): LinkedCall {
    this.#number = (this.#number + 1) >>> 0
    const number = this.#number
    const nowMs = this.#clock.monotonicMs()
    // What was said while nobody waited tells nothing about now.
    if (this.#waiting.size === 0) this.#heardAtMs = nowMs
    this.#usedAtMs = nowMs
    const answered = new Promise<HttpAnswer>((resolve, reject) =>
      this.#waiting.set(number, { untilMs: nowMs + waitMsMax, resolve, reject }),
    )
    this.#writer.send(frameKinds.request, number, head, body)
    return { answered, leave: () => this.#leave(number, 'who asked has gone') }
  }

  /** What waits for an answer is told that none comes. */
  destroy(): void {
    this.#isLeaving = true
    this.#socket.destroy()
  }

  onFrame(kind: number, number: number, bytes: Buffer, start: number, end: number): void {
    if (kind === frameKinds.answer) this.#answered(number, bytes, start, end)
    else if (kind === frameKinds.broken) this.#settle(number)?.reject(new Error('the answer broke off'))
    else if (kind === frameKinds.goodbye) this.#isLeaving = true
    else if (kind !== frameKinds.pong) this.onFault()
    if (this.#isLeaving && this.#waiting.size === 0) this.#socket.end()
  }

  onFault(): void {
    this.destroy()
  }

  #answered(number: number, bytes: Buffer, start: number, end: number): void {
    const waiting = this.#waiting.get(number)
    if (waiting === undefined) return // it was given up
    try {
      const answer = answerIn(bytes, start, end)
      this.#waiting.delete(number)
      waiting.resolve(answer)
    } catch {
      this.onFault()
    }
  }

  #settle(number: number): Waiting | undefined {
    const waiting = this.#waiting.get(number)
    this.#waiting.delete(number)
    return waiting
  }

  #leave(number: number, reason: string): void {
    const waiting = this.#settle(number)
    if (waiting === undefined) return
    this.#writer.send(frameKinds.left, number)
    waiting.reject(new Error(reason))
  }

  #sweep(): void {
    this.#cancelSweep = this.#clock.after(sweepMs, () => this.#sweep())
    const nowMs = this.#clock.monotonicMs()
    for (const [number, { untilMs }] of this.#waiting)
      if (untilMs <= nowMs) this.#leave(number, 'no answer came in time')
    const silentMs = nowMs - this.#heardAtMs
    if (this.#waiting.size === 0) {
      if (nowMs - this.#usedAtMs <= limits.linkSilenceMsMax / 2) return
      this.#isLeaving = true
      this.#socket.end()
    } else if (silentMs > 2 * limits.linkHeartbeatMs) this.destroy()
    else if (silentMs > limits.linkHeartbeatMs) this.#writer.send(frameKinds.ping, 0)
  }

  #onClosed(): void {
    this.#isLeaving = true
    this.#cancelSweep()
    for (const number of [...this.#waiting.keys()]) this.#settle(number)?.reject(new Error('the link was lost'))
  }
}

/** A copy: the bytes are good during the call only. @throws if it is none */
function answerIn(bytes: Buffer, start: number, end: number): HttpAnswer {
  const headersStart = start + answerPrefixBytes
  const bodyStart = headersStart + bytes.readUInt32BE(start + 2)
  return {
    status: bytes.readUInt16BE(start),
    headers: JSON.parse(bytes.toString('utf8', headersStart, bodyStart)) as Record<string, string>,
    body: Buffer.from(bytes.subarray(bodyStart, end)),
  }
}
