/**
 * AMQP 1.0 as a device of the generator speaks it: one session with one link, to the device's own telemetry.
 *
 *   SASL header, INIT ─▶ OUTCOME ─▶ AMQP header, OPEN, BEGIN, ATTACH ─▶ FLOW with credit ─▶ TRANSFER … ─▶ DISPOSITION of runs
 *
 * On a connection that others share (`shared-connection.ts`) it begins with BEGIN. Messages that were in flight when a connection was lost go first on the next one, as far as its credit allows.
 */

import type { SequenceLedger } from '#loadtest/ledger/ledger.ts'
import {
  amqpHeader,
  emptyFrame,
  frame,
  frameBytesOf,
  headerBytes,
  performatives,
  saslFrame,
  saslHeader,
} from '#runtime/amqp/frames.ts'
import { type Performative, readFrame } from '#runtime/amqp/performative.ts'
import { DescribedValue, type ReadValue } from '#runtime/amqp/read-values.ts'
import { described, symbol, ubyte, uint, ushort, type Value } from '#runtime/amqp/write-values.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { DeliveryNumbers } from './delivery-numbers.ts'
import type { DeviceIdentity } from './device-identities.ts'
import type { Dialect, DialectListener } from './dialect.ts'
import { DispositionReader } from './disposition-reader.ts'
import type { FrameTemplate, IntendedAtMs } from './frames.ts'
import { handle } from './transfer-envelope.ts'

export interface AmqpOptions {
  readonly identity: DeviceIdentity
  /** Of the target that telemetry goes to. */
  readonly address: string
  readonly hostName: string
  readonly template: FrameTemplate
  readonly ledger: SequenceLedger
  readonly qos: 0 | 1
  readonly window: number
  /** Of its session on a connection that others share; undefined: the connection is its own. */
  readonly sharedChannel: number | undefined
}

const dispositions = new DispositionReader()
const accepted = 0x24
/** Of a session, in frames; nothing comes in on it but dispositions. */
const windowFrames = 2_048

export class AmqpDialect implements Dialect {
  readonly ping = emptyFrame
  readonly goodbye: Buffer
  window: number
  readonly #options: AmqpOptions
  readonly #listener: DialectListener
  #phase: 'saslHeader' | 'sasl' | 'header' | 'opening' | 'open' = 'saslHeader'
  #numbers = new DeliveryNumbers()
  #sent = 0
  /** Messages that may still be written: by the credit of the link, and by the window of the session. */
  #credit = 0
  #sessionRoom = 0

  constructor(options: AmqpOptions, listener: DialectListener) {
    this.#options = options
    this.#listener = listener
    this.window = options.qos === 1 ? options.window : Number.POSITIVE_INFINITY
    const { sharedChannel } = options
    this.goodbye =
      sharedChannel === undefined
        ? frame(0, performatives.close, [null])
        : frame(sharedChannel, performatives.end, [null])
  }

  get frameBytes(): number {
    return this.#options.template.frameBytes
  }

  room(inFlight: number): number {
    return Math.min(this.window - inFlight, this.resendRoom())
  }

  resendRoom(): number {
    return Math.min(this.#credit, this.#sessionRoom)
  }

  begin(): Buffer {
    this.#phase = 'saslHeader'
    this.#numbers = new DeliveryNumbers()
    this.#sent = 0
    this.#credit = 0
    this.#sessionRoom = 0
    if (this.#options.sharedChannel !== undefined) {
      this.#phase = 'opening'
      return this.#sessionFrames(this.#options.sharedChannel)
    }
    const { account } = this.#options.identity
    const init: Value[] = account
      ? [symbol('PLAIN'), Buffer.from(`\0${account.username}\0${account.password}`), null]
      : [symbol('ANONYMOUS'), null, null]
    return Buffer.concat([saslHeader, saslFrame(performatives.saslInit, init)])
  }

  fill(target: Buffer, first: number, count: number, isResent: boolean, at: number | IntendedAtMs): number {
    const { template } = this.#options
    template.deliveryOffset = this.#numbers.offsetOf(first)
    const frames = template.fill(target, first, count, isResent, at)
    this.#numbers.give(first, frames)
    this.#sent += frames
    this.#credit -= frames
    this.#sessionRoom -= frames
    return frames
  }

  read(chunk: Buffer, end: number): number {
    let at = 0
    try {
      while (at < end) {
        const bytes = this.#isHeaderDue ? headerBytes : frameBytesOf(chunk, at, end, limits.amqpFrameBytesMax)
        if (bytes === 0 || at + bytes > end) return at
        if (this.#isHeaderDue) this.#onHeader(chunk, at)
        else this.#onFrame(chunk, at, at + bytes)
        at += bytes
      }
      return end
    } catch (error) {
      if (!isPenstockError(error)) throw error
      this.#listener.onEnd(error.message)
      return end
    }
  }

  get #isHeaderDue(): boolean {
    return this.#phase === 'saslHeader' || this.#phase === 'header'
  }

  #onHeader(chunk: Buffer, at: number): void {
    const expected = this.#phase === 'saslHeader' ? saslHeader : amqpHeader
    if (chunk.compare(expected, 0, headerBytes, at, at + headerBytes) !== 0)
      this.#listener.onEnd('no header of AMQP from the target')
    else this.#phase = this.#phase === 'saslHeader' ? 'sasl' : 'opening'
  }

  /** HOT: per frame, of which dispositions are read in place. */
  #onFrame(chunk: Buffer, start: number, end: number): void {
    if (this.#phase === 'open' && dispositions.read(chunk, start, end)) {
      this.#settle(dispositions.first, dispositions.last, dispositions.outcome)
      return
    }
    const performative = readFrame(chunk, start, end)?.performative
    if (performative === undefined) return
    switch (performative.code) {
      case performatives.saslMechanisms:
      case performatives.open:
      case performatives.attach:
        return
      case performatives.saslOutcome:
        this.#onOutcome(performative)
        return
      case performatives.begin:
        this.#sessionRoom = performative.number(2) ?? 0
        return
      case performatives.flow:
        this.#onFlow(performative)
        return
      case performatives.disposition: {
        const first = performative.number(1) ?? 0
        this.#settle(first, performative.number(2) ?? first, outcomeOf(performative.at(4)))
        return
      }
      case performatives.detach:
        this.#onEnded(performative.at(2))
        return
      case performatives.end:
      case performatives.close:
        this.#onEnded(performative.at(0))
        return
      default:
        this.#listener.onEnd(`performative ${performative.code} from the target`)
    }
  }

  #onOutcome(outcome: Performative): void {
    const code = outcome.number(0)
    if (code !== 0) {
      this.#listener.onRefused(`SASL refused with code ${code}`)
      return
    }
    this.#phase = 'header'
    const { hostName, identity } = this.#options
    const open = frame(0, performatives.open, [identity.deviceId, hostName, uint(limits.amqpFrameBytesMax), ushort(0)])
    this.#listener.say(Buffer.concat([amqpHeader, open, this.#sessionFrames(0)]))
  }

  #sessionFrames(channel: number): Buffer {
    const { address, identity, qos } = this.#options
    const window = uint(windowFrames)
    const [source, target] = [described(0x28, [identity.deviceId]), described(0x29, [address])]
    const modes = [ubyte(qos === 1 ? 0 : 1), ubyte(0)]
    const link = ['telemetry', uint(handle), false, ...modes, source, target, null, null, uint(0)]
    return Buffer.concat([
      frame(channel, performatives.begin, [null, uint(0), window, window, uint(handle)]),
      frame(channel, performatives.attach, link),
    ])
  }

  #onFlow(flow: Performative): void {
    this.#sessionRoom = ((flow.number(0) ?? 0) + (flow.number(1) ?? 0) - this.#sent) | 0
    if (flow.number(4) !== handle) return
    this.#credit = ((flow.number(5) ?? 0) + (flow.number(6) ?? 0) - this.#sent) | 0
    if (this.#phase !== 'opening' || this.#credit <= 0) return
    this.#phase = 'open'
    // Writes are sized for what is granted, where that is less.
    if (this.#options.qos === 1) this.window = Math.min(this.#options.window, this.#credit)
    this.#listener.onAccepted()
  }

  #settle(first: number, last: number, outcome: number): void {
    const { ledger } = this.#options
    for (const { from, to } of this.#numbers.sequencesOf(first, last)) {
      const before = ledger.settledTo
      if (outcome === accepted && ledger.inOrder && from === before) ledger.settleInOrder(to - from)
      else for (let sequence = from; sequence < to; sequence++) ledger.settleSequence(sequence, outcome !== accepted)
      this.#listener.onSettled(before, ledger.settledTo)
    }
  }

  #onEnded(error: ReadValue): void {
    const fault = faultOf(error)
    if (fault !== undefined && this.#phase !== 'open') this.#listener.onRefused(fault)
    else this.#listener.onEnd(fault)
  }
}

function outcomeOf(state: ReadValue): number {
  return state instanceof DescribedValue && typeof state.descriptor === 'number' ? state.descriptor : accepted
}

/** An error of the norm: condition, description. */
export function faultOf(error: ReadValue): string | undefined {
  if (!(error instanceof DescribedValue) || !Array.isArray(error.value)) return undefined
  const [condition, description] = error.value
  return [condition, description].filter((text) => typeof text === 'string' && text !== '').join(': ')
}
