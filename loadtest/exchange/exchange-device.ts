/**
 * A device that listens: its connection, which comes back by itself, and what it hears. Its session is kept.
 *
 *            connect                CONNACK 0              SUBACK              close, finish()
 *   waiting ─────────▶ connecting ─────────────▶ subscribing ─────▶ listening ────────────────▶ finished
 *      ▲                                         (not where the session was kept)   │ lost
 *      └── backoff ─────────────────────────────────────────────────────────────────┘
 */
import { connectAnswerOf, connectPacket, disconnect, pingRequest } from '#loadtest/generate/control-packets.ts'
import type { ConnectionCounters } from '#loadtest/generate/device-connection.ts'
import type { DeviceIdentity } from '#loadtest/generate/device-identities.ts'
import type { DeviceSocket, SocketFactory } from '#loadtest/generate/device-socket.ts'
import { type BackOff, pauseMs } from '#runtime/retry.ts'
import {
  PacketReader,
  pubackPacket,
  publishPacket,
  type ReceivedPublish,
  readPublish,
  subscribePacket,
} from './exchange-packets.ts'

/** What all devices of a generator process share. */
export interface ExchangeDeviceShared {
  readonly sockets: SocketFactory
  readonly protocol: 4 | 5
  readonly qos: 0 | 1
  readonly counters: ConnectionCounters
  readonly random: () => number
}

/** What hears a device. */
export interface ExchangeListener {
  /** @param isFirst it never listened before */
  onListening(isFirst: boolean): void
  /** Of QoS 1 it is acknowledged behind this call. */
  onPublish(publish: ReceivedPublish): void
  /** The connection ended; what was under way on it is not answered any more. */
  onLost(): void
}

const reconnectBackOff: BackOff = { firstMs: 50, factor: 2, maxMs: 2_000, jitter: 0.5 }

export class ExchangeDevice {
  readonly deviceId: string
  readonly #identity: DeviceIdentity
  readonly #filters: readonly string[]
  readonly #shared: ExchangeDeviceShared
  readonly #listener: ExchangeListener
  #state: 'waiting' | 'connecting' | 'subscribing' | 'listening' | 'finished' = 'waiting'
  #socket: DeviceSocket | undefined
  #hasListened = false
  #attempts = 0
  #reconnect: NodeJS.Timeout | undefined

  constructor(
    identity: DeviceIdentity,
    filters: readonly string[],
    shared: ExchangeDeviceShared,
    listener: ExchangeListener,
  ) {
    this.deviceId = identity.deviceId
    this.#identity = identity
    this.#filters = filters
    this.#shared = shared
    this.#listener = listener
  }

  get isListening(): boolean {
    return this.#state === 'listening'
  }

  open(): void {
    const { sockets, counters, protocol } = this.#shared
    this.#state = 'connecting'
    const reader = new PacketReader()
    const socket: DeviceSocket = sockets.open(
      {
        onBytes: (bytes, count) => {
          if (this.#socket === socket) this.#onBytes(reader, bytes.subarray(0, count))
        },
        onFault: (fault) => {
          counters.lastFault = fault
        },
        onClose: () => this.#onClose(socket),
      },
      this.#identity.localAddress,
    )
    this.#socket = socket
    socket.write(connectPacket(this.deviceId, protocol, this.#identity.account))
  }

  /** With QoS 0; only while it listens. */
  publish(topic: string, body: string): void {
    this.#socket?.write(publishPacket(topic, body, this.#shared.protocol))
  }

  /** Cuts the connection off without DISCONNECT, as a lost network does; it reconnects. */
  drop(): void {
    if (this.#state === 'listening') this.#socket?.destroy()
  }

  ping(): void {
    if (this.#state === 'listening') this.#socket?.write(pingRequest)
  }

  finish(): void {
    clearTimeout(this.#reconnect)
    const isOpen = this.#state === 'listening'
    this.#state = 'finished'
    if (isOpen) this.#socket?.end(disconnect)
    else this.#socket?.destroy()
  }

  #onBytes(reader: PacketReader, bytes: Buffer): void {
    try {
      reader.read(bytes, (first, rest) => this.#onPacket(first, rest))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#fail(error.message)
    }
  }

  #onPacket(first: number, rest: Buffer): void {
    const { protocol, counters } = this.#shared
    switch (first >> 4) {
      case 2:
        this.#onConnectAnswer(rest)
        return
      case 3: {
        const publish = readPublish(first & 15, rest, protocol)
        this.#listener.onPublish(publish)
        if (publish.packetId !== undefined) this.#socket?.write(pubackPacket(publish.packetId))
        return
      }
      case 9:
        this.#onSubscribeAnswer(rest)
        return
      case 13:
        return
      case 14:
        counters.lastFault = `DISCONNECT with reason code 0x${(rest[0] ?? 0).toString(16)}`
        return
      default:
        this.#fail(`packet type ${first >> 4} from the target`)
    }
  }

  #onConnectAnswer(rest: Buffer): void {
    const { protocol, counters, qos } = this.#shared
    const { code } = connectAnswerOf(rest, protocol)
    if (code !== 0) {
      counters.refused++
      this.#fail(`CONNECT refused with code 0x${code.toString(16)}`)
      return
    }
    counters.opened++
    this.#attempts = 0
    const isSessionPresent = ((rest[0] ?? 0) & 1) === 1
    if (isSessionPresent && this.#hasListened) this.#listen()
    else {
      this.#state = 'subscribing'
      this.#socket?.write(subscribePacket(this.#filters, qos, protocol))
    }
  }

  #onSubscribeAnswer(rest: Buffer): void {
    const codes = rest.subarray(rest.length - this.#filters.length)
    const refused = codes.findIndex((code) => code >= 0x80)
    if (refused >= 0) {
      this.#shared.counters.refused++
      this.#fail(`SUBSCRIBE to ${this.#filters[refused]} refused with code 0x${(codes[refused] ?? 0).toString(16)}`)
    } else this.#listen()
  }

  #listen(): void {
    this.#state = 'listening'
    const isFirst = !this.#hasListened
    this.#hasListened = true
    this.#listener.onListening(isFirst)
  }

  #fail(fault: string): void {
    this.#shared.counters.lastFault = fault
    this.#socket?.destroy()
  }

  #onClose(socket: DeviceSocket): void {
    if (this.#socket !== socket || this.#state === 'finished') return
    const { counters, random } = this.#shared
    if (this.#state === 'listening') counters.lost++
    this.#state = 'waiting'
    this.#listener.onLost()
    this.#reconnect = setTimeout(() => this.open(), pauseMs(reconnectBackOff, this.#attempts++, random))
  }
}
