/**
 * A connection of AMQP that several devices share, as behind a gateway of the hub: each has a session, and its token is put first.
 *
 *   SASL ANONYMOUS ─▶ OPEN ─▶ session 0 with links to and from $cbs ─▶ put-token of a device ─▶ 200 ─▶ session of this device, n …
 *
 * To its device, a session is a socket of its own. What ends one ends the connection, and so all of them.
 */
import {
  amqpHeader,
  frame,
  frameBytesOf,
  frameHeadBytes,
  headerBytes,
  performatives,
  saslFrame,
  saslHeader,
} from '#runtime/amqp/frames.ts'
import { ReadMessage, writeMessage } from '#runtime/amqp/message.ts'
import { type Performative, readFrame } from '#runtime/amqp/performative.ts'
import type { ReadValue } from '#runtime/amqp/read-values.ts'
import { described, symbol, ubyte, uint, ushort } from '#runtime/amqp/write-values.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { faultOf } from './amqp-dialect.ts'
import type { DeviceIdentity } from './device-identities.ts'
import type { DeviceSocket, SocketHandlers } from './device-socket.ts'

/** Session of the links for tokens. */
const tokenChannel = 0
/** The handles of its links. */
const requests = 0
const answers = 1
const answersCredit = 100_000
const windowFrames = 2_048

interface Waiting {
  readonly bytes: Buffer
  readonly written: (() => void) | undefined
}

export class SharedConnection {
  readonly #socket: DeviceSocket
  /** By their own channel numbers. */
  readonly #sessions = new Map<number, SessionSocket>()
  /** The target numbers its side of a session as it likes. */
  readonly #channels = new Map<number, number>()
  readonly #tokensDue: SessionSocket[] = []
  #headersDue = 2
  #tokenCredit = 0
  #tokensPut = 0
  #carry: Buffer | undefined
  #isOver = false

  /** @param open begins a connection */
  constructor(open: (handlers: SocketHandlers) => DeviceSocket) {
    this.#socket = open({
      onBytes: (bytes, count) => this.#onBytes(bytes, count),
      onFault: (fault) => this.#tellFault(fault),
      onClose: () => {
        this.#isOver = true
        for (const session of this.#sessions.values()) session.handlers.onClose()
      },
    })
    this.#socket.write(
      Buffer.concat([saslHeader, saslFrame(performatives.saslInit, [symbol('ANONYMOUS'), null, null])]),
    )
  }

  get isOver(): boolean {
    return this.#isOver
  }

  get socket(): DeviceSocket {
    return this.#socket
  }

  /** @param channel of this device on every such connection, from 1 on */
  join(channel: number, identity: DeviceIdentity, handlers: SocketHandlers): DeviceSocket {
    const session = new SessionSocket(this, channel, identity, handlers)
    this.#sessions.set(channel, session)
    this.#tokensDue.push(session)
    this.#putTokens()
    return session
  }

  /** A device has said its last word. */
  left(): void {
    for (const session of this.#sessions.values()) if (!session.isEnded) return
    this.#socket.end(frame(0, performatives.close, [null]))
  }

  destroy(): void {
    this.#isOver = true
    this.#socket.destroy()
  }

  #tellFault(fault: string): void {
    for (const session of this.#sessions.values()) session.handlers.onFault(fault)
  }

  #fail(fault: string): void {
    this.#tellFault(fault)
    this.destroy()
  }

  #onBytes(bytes: Buffer, count: number): void {
    const chunk = this.#carry ? Buffer.concat([this.#carry, bytes.subarray(0, count)]) : bytes.subarray(0, count)
    this.#carry = undefined
    try {
      const at = this.#read(chunk)
      if (at < chunk.length) this.#carry = Buffer.from(chunk.subarray(at))
    } catch (error) {
      if (!isPenstockError(error)) throw error
      this.#fail(error.message)
    }
  }

  /** HOT: per frame, a look at its channel. @returns where the first incomplete frame begins */
  #read(chunk: Buffer): number {
    let at = 0
    while (at < chunk.length && !this.#isOver) {
      // Its first byte would make a frame of a gigabyte.
      const isHeader = this.#headersDue > 0 && chunk[at] === amqpHeader[0]
      const bytes = isHeader ? headerBytes : frameBytesOf(chunk, at, chunk.length, limits.amqpFrameBytesMax)
      if (bytes === 0 || at + bytes > chunk.length) return at
      if (isHeader) this.#headersDue--
      else this.#onFrame(chunk, at, at + bytes)
      at += bytes
    }
    return at
  }

  #onFrame(chunk: Buffer, start: number, end: number): void {
    const channel = chunk.readUInt16BE(start + 6)
    if (chunk[start + frameHeadBytes + 2] === performatives.begin) this.#noteChannel(chunk, start, end, channel)
    const own = this.#channels.get(channel) ?? tokenChannel
    if (own !== tokenChannel) {
      this.#sessions.get(own)?.handlers.onBytes(chunk.subarray(start, end), end - start)
      return
    }
    const read = readFrame(chunk, start, end)
    if (read === undefined) return
    const { performative, payloadStart } = read
    if (performative.code === performatives.saslOutcome) this.#onOutcome(performative)
    else if (performative.code === performatives.flow) this.#onFlow(performative)
    else if (performative.code === performatives.transfer) this.#onAnswer(new ReadMessage(chunk, payloadStart, end))
    else if (performative.code === performatives.detach) this.#onEnded(performative.at(2))
    else if (performative.code === performatives.end || performative.code === performatives.close)
      this.#onEnded(performative.at(0))
  }

  #onEnded(error: ReadValue): void {
    const fault = faultOf(error)
    if (fault !== undefined) this.#tellFault(fault)
    this.destroy()
  }

  #noteChannel(chunk: Buffer, start: number, end: number, channel: number): void {
    const begun = readFrame(chunk, start, end)?.performative.number(0)
    if (begun !== undefined && begun !== tokenChannel) this.#channels.set(channel, begun)
  }

  #onOutcome(outcome: Performative): void {
    if (outcome.number(0) !== 0) {
      this.#fail(`SASL refused with code ${outcome.number(0)}`)
      return
    }
    const link = (name: string, handle: number, receives: boolean): Buffer =>
      frame(tokenChannel, performatives.attach, [
        name,
        uint(handle),
        receives,
        ubyte(1),
        ubyte(0),
        described(0x28, ['$cbs']),
        described(0x29, ['$cbs']),
        null,
        null,
        receives ? null : uint(0),
      ])
    const window = [uint(0), uint(windowFrames), uint(0), uint(windowFrames)]
    this.#socket.write(
      Buffer.concat([
        amqpHeader,
        frame(0, performatives.open, ['loadtest', null, uint(limits.amqpFrameBytesMax), ushort(0xffff)]),
        frame(tokenChannel, performatives.begin, [
          null,
          uint(0),
          uint(windowFrames),
          uint(windowFrames),
          uint(answers),
        ]),
        link('token-requests', requests, false),
        link('token-answers', answers, true),
        frame(tokenChannel, performatives.flow, [...window, uint(answers), uint(0), uint(answersCredit)]),
      ]),
    )
  }

  #onFlow(flow: Performative): void {
    if (flow.number(4) !== requests) return
    this.#tokenCredit = (flow.number(5) ?? 0) + (flow.number(6) ?? 0) - this.#tokensPut
    this.#putTokens()
  }

  #putTokens(): void {
    while (this.#tokenCredit > 0) {
      const session = this.#tokensDue.shift()
      if (session === undefined) return
      this.#tokenCredit--
      const payload = writeMessage({
        properties: { messageId: String(session.channel), to: '$cbs', replyTo: 'token-answers' },
        applicationProperties: [
          ['operation', 'put-token'],
          ['type', 'servicebus.windows.net:sastoken'],
          ['name', session.identity.deviceId],
        ],
        value: session.identity.account?.password ?? '',
      })
      const number = uint(this.#tokensPut++)
      const transfer = [uint(requests), number, Buffer.from([0]), uint(0), true]
      this.#socket.write(frame(tokenChannel, performatives.transfer, transfer, payload))
    }
  }

  #onAnswer(answer: ReadMessage): void {
    const session = this.#sessions.get(Number(answer.field('correlationId')))
    const status = answer.applicationProperties.get('status-code')
    if (status === 200 || status === 202) session?.letIn()
    else this.#fail(`a token was refused: ${status} ${answer.applicationProperties.get('status-description') ?? ''}`)
  }
}

/** A device's session. What its device writes waits until its token was taken. */
class SessionSocket implements DeviceSocket {
  readonly channel: number
  readonly identity: DeviceIdentity
  readonly handlers: SocketHandlers
  isEnded = false
  readonly #connection: SharedConnection
  #waiting: Waiting[] | undefined = []

  constructor(connection: SharedConnection, channel: number, identity: DeviceIdentity, handlers: SocketHandlers) {
    this.#connection = connection
    this.channel = channel
    this.identity = identity
    this.handlers = handlers
  }

  get closed(): boolean {
    return this.#connection.socket.closed
  }

  letIn(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const { bytes, written } of waiting) this.write(bytes, written)
  }

  write(bytes: Buffer, written?: () => void): void {
    if (this.#waiting === undefined) this.#connection.socket.write(bytes, written)
    else this.#waiting.push({ bytes, written })
  }

  end(bytes: Buffer): void {
    this.write(bytes)
    this.isEnded = true
    this.#connection.left()
  }

  pause(): void {
    this.#connection.socket.pause()
  }

  resume(): void {
    this.#connection.socket.resume()
  }

  destroy(): void {
    // The answer to its last word is no fault, and the others may still have theirs to say.
    if (!this.isEnded) this.#connection.destroy()
  }
}

/** Connections by which device they are of: the first `devicesMax` share one, and so on. */
export function sharedConnections(
  devicesMax: number,
  open: (handlers: SocketHandlers, localAddress: string | undefined) => DeviceSocket,
): (identity: DeviceIdentity, place: number, handlers: SocketHandlers) => DeviceSocket {
  const connections: SharedConnection[] = []
  return (identity, place, handlers) => {
    const index = Math.floor(place / devicesMax)
    let connection = connections[index]
    if (connection === undefined || connection.isOver) {
      connection = new SharedConnection((own) => open(own, identity.localAddress))
      connections[index] = connection
    }
    return connection.join(sharedChannelOf(place, devicesMax), identity, handlers)
  }
}

/** Of the device at this place in its process. */
export function sharedChannelOf(place: number, devicesMax: number): number {
  return (place % devicesMax) + 1
}
