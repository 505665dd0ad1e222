/**
 * What is on its way to one client.
 *
 *   QoS 0   written at once ─▶ sent                                    a client that does not read: full
 *   QoS 1   waits ─▶ written, in order, as the window allows ─▶ PUBACK ─▶ acknowledged │ rejected
 *             └── connection ends ─▶ gone └── connection ends ─▶ lost
 *
 * QoS 0 does not wait behind QoS 1: a device that handles commands slowly still answers methods. Made for the first delivery: most of many
 * connections only send.
 */
import { randomInt } from 'node:crypto'
import type { Delivery, Outcome } from '#ingest/session/delivery.ts'
import type { Qos } from '#ingest/session/subscriptions.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import { publishPacket, setPacketId, topicOf } from './delivery-packets.ts'
import { deliveryProperties } from './delivery-properties.ts'
import type { ProtocolVersion } from './packets.ts'
import type { Publisher } from './route.ts'

/** The connection that they leave on. */
export interface DeliveryConnection {
  readonly version: ProtocolVersion
  /** Largest packet that the client takes. */
  readonly packetBytesMax: number
  /** Unacknowledged packets that it takes. */
  readonly receiveMaximum: number
  /** It has not read so much that more shall wait. */
  readonly isBehind: boolean
  writeDelivery(packet: Buffer): void
}

interface Waiting {
  readonly packet: Buffer
  readonly resolve: (outcome: Outcome) => void
}

export class Deliveries {
  readonly #connection: DeliveryConnection
  readonly #publisher: Publisher
  readonly #waiting: Waiting[] = []
  #waitingBytes = 0
  /** By packet id. */
  readonly #underWay = new Map<number, (outcome: Outcome) => void>()
  /** Begins anywhere: a client may acknowledge late what an earlier connection brought, and must not mean something else by it. */
  #lastPacketId = randomInt(0x1_0000)

  constructor(connection: DeliveryConnection, publisher: Publisher) {
    this.#connection = connection
    this.#publisher = publisher
  }

  send(delivery: Delivery, granted: Qos): Promise<Outcome> {
    const { version, packetBytesMax, isBehind } = this.#connection
    // The hub acknowledges nothing but commands.
    const qos = delivery.feed === 'commands' ? granted : 0
    const isRepeated = delivery.feed === 'commands' && delivery.isRepeated
    const topic = topicOf(delivery, this.#publisher)
    const properties = version === 5 ? deliveryProperties(delivery) : undefined
    const packet = publishPacket(version, qos, isRepeated, topic, delivery.body, properties)
    if (packet === undefined || packet.length > packetBytesMax) return Promise.resolve('tooLarge')
    if (qos === 0) {
      if (isBehind) return Promise.resolve('full')
      this.#connection.writeDelivery(packet)
      return Promise.resolve('sent')
    }
    if (
      this.#waiting.length === limits.deliveriesWaitingMax ||
      this.#waitingBytes + packet.length > limits.deliveriesWaitingBytesMax
    )
      return Promise.resolve('full')
    return new Promise((resolve) => {
      this.#waiting.push({ packet, resolve })
      this.#waitingBytes += packet.length
      this.flush()
    })
  }

  /** Writes what waits, as far as the client takes it. */
  flush(): void {
    const { receiveMaximum, version } = this.#connection
    // Before 5.0 a client cannot say how many it takes.
    const windowMax = Math.min(limits.deliveriesUnderWayMax, version === 5 ? receiveMaximum : Number.POSITIVE_INFINITY)
    while (this.#underWay.size < windowMax && !this.#connection.isBehind) {
      const next = this.#waiting.shift()
      if (next === undefined) {
        assert(this.#waitingBytes === 0, 'where no packet waits no bytes do')
        return
      }
      this.#waitingBytes -= next.packet.length
      const packetId = this.#nextPacketId()
      setPacketId(next.packet, packetId)
      this.#underWay.set(packetId, next.resolve)
      this.#connection.writeDelivery(next.packet)
    }
  }

  /** What the client says of a packet; of one that is not under way it says nothing that matters. */
  acknowledged(packetId: number, isTaken: boolean): void {
    const resolve = this.#underWay.get(packetId)
    if (resolve === undefined) return
    this.#underWay.delete(packetId)
    resolve(isTaken ? 'acknowledged' : 'rejected')
    this.flush()
  }

  /** The connection is over. */
  end(): void {
    for (const resolve of this.#underWay.values()) resolve('lost')
    this.#underWay.clear()
    for (const { packet, resolve } of this.#waiting.splice(0)) {
      this.#waitingBytes -= packet.length
      resolve('gone')
    }
    assert(this.#waitingBytes === 0, 'the bytes that wait for a client are those of its packets')
  }

  #nextPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % 0xffff) + 1
    while (this.#underWay.has(this.#lastPacketId))
    return this.#lastPacketId
  }
}
