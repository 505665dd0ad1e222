/** MQTT as a device of the generator speaks it: CONNECT, PUBLISH, and what it makes of CONNACK and PUBACK. */
import { packetIds, type SequenceLedger } from '#loadtest/ledger/ledger.ts'
import { type ConnectAnswer, connectAnswerOf, connectPacket, disconnect, pingRequest } from './control-packets.ts'
import type { DeviceIdentity } from './device-identities.ts'
import type { Dialect, DialectListener } from './dialect.ts'
import type { FrameTemplate, IntendedAtMs } from './frames.ts'

export interface MqttOptions {
  readonly identity: DeviceIdentity
  readonly template: FrameTemplate
  readonly ledger: SequenceLedger
  readonly qos: 0 | 1
  readonly protocol: 4 | 5
  readonly window: number
}

export class MqttDialect implements Dialect {
  readonly ping = pingRequest
  readonly goodbye = disconnect
  window: number
  readonly #options: MqttOptions
  readonly #listener: DialectListener
  readonly #ledger: SequenceLedger
  readonly #connectPacket: Buffer

  constructor(options: MqttOptions, listener: DialectListener) {
    const { identity, protocol, ledger, qos, window } = options
    this.#options = options
    this.#listener = listener
    this.#ledger = ledger
    this.#connectPacket = connectPacket(identity.deviceId, protocol, identity.account)
    this.window = qos === 1 ? window : Number.POSITIVE_INFINITY
  }

  get frameBytes(): number {
    return this.#options.template.frameBytes
  }

  room(inFlight: number): number {
    return this.window - inFlight
  }

  resendRoom(): number {
    return Number.POSITIVE_INFINITY
  }

  begin(): Buffer {
    return this.#connectPacket
  }

  fill(target: Buffer, first: number, count: number, isResent: boolean, at: number | IntendedAtMs): number {
    return this.#options.template.fill(target, first, count, isResent, at)
  }

  /** HOT: paid per PUBACK: four bytes compared. */
  read(chunk: Buffer, end: number): number {
    const ledger = this.#ledger
    let at = 0
    while (at < end) {
      if (ledger.inOrder) {
        const countMax = ledger.sent - ledger.settledTo
        let id = (ledger.settledTo % packetIds) + 1
        let count = 0
        while (
          count < countMax &&
          at + 4 <= end &&
          chunk[at] === 0x40 &&
          chunk[at + 1] === 0x02 &&
          chunk[at + 2] === id >> 8 &&
          chunk[at + 3] === (id & 0xff)
        ) {
          id = id === packetIds ? 1 : id + 1
          count++
          at += 4
        }
        if (count > 0) {
          const from = ledger.settledTo
          ledger.settleInOrder(count)
          this.#listener.onSettled(from, from + count)
          continue
        }
      }
      const next = this.#onePacket(chunk, at, end)
      if (next === at) return at
      at = next
    }
    return end
  }

  /** Any packet that is not the next PUBACK in order. @returns the position behind it, or `at` if it is incomplete */
  #onePacket(chunk: Buffer, at: number, end: number): number {
    let bodyAt = at + 1
    let length = 0
    for (let shift = 0; ; shift += 7) {
      if (bodyAt >= end) return at
      const byte = chunk[bodyAt++] ?? 0
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
      if (shift === 21) return this.#end('a remaining length of more than four bytes', end)
    }
    const next = bodyAt + length
    if (next > end) return at
    const ledger = this.#ledger
    switch ((chunk[at] ?? 0) >> 4) {
      case 2:
        this.#onConnectAnswer(connectAnswerOf(chunk.subarray(bodyAt, next), this.#options.protocol))
        break
      case 4: {
        const before = ledger.settledTo
        ledger.settle(chunk.readUInt16BE(bodyAt), length > 2 && (chunk[bodyAt + 2] ?? 0) >= 0x80)
        this.#listener.onSettled(before, ledger.settledTo)
        break
      }
      case 13:
        break
      case 14:
        return this.#end(`DISCONNECT with reason code 0x${(chunk[bodyAt] ?? 0).toString(16)}`, end)
      default:
        return this.#end(`packet type ${(chunk[at] ?? 0) >> 4} from the target`, end)
    }
    return next
  }

  #end(fault: string, end: number): number {
    this.#listener.onEnd(fault)
    return end
  }

  #onConnectAnswer({ code, receiveMaximum }: ConnectAnswer): void {
    if (code !== 0) {
      this.#listener.onRefused(`CONNECT refused with code 0x${code.toString(16)}`)
      return
    }
    if (this.#options.qos === 1) this.window = Math.min(this.#options.window, receiveMaximum)
    this.#listener.onAccepted()
  }
}
