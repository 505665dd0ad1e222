import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

const firstSlots = 16

/**
 * Packet ids of QoS 1 messages that wait for their batch, oldest first: a ring that doubles up to `limits.receiveMaximum`.
 * Acknowledgements leave in the order the messages came [MQTT-4.6.0-2].
 */
export class Unacknowledged {
  #ids = new Uint16Array(firstSlots)
  #first = 0
  count = 0

  /** @throws INGEST_RECEIVE_MAXIMUM. HOT: per QoS 1 message. */
  push(packetId: number): void {
    if (this.count === this.#ids.length) this.#grow()
    this.#ids[(this.#first + this.count) & (this.#ids.length - 1)] = packetId
    this.count++
  }

  /** PUBACK packets for the oldest `count` ids, which are then forgotten. Success has the same four bytes in both versions. */
  pubacks(count: number): Buffer {
    const packets = Buffer.allocUnsafe(count * 4)
    const mask = this.#ids.length - 1
    for (let i = 0, at = 0; i < count; i++) {
      const id = this.#ids[(this.#first + i) & mask] as number
      packets[at++] = 0x40
      packets[at++] = 2
      packets[at++] = id >>> 8
      packets[at++] = id & 0xff
    }
    this.#first = (this.#first + count) & mask
    this.count -= count
    return packets
  }

  #grow(): void {
    if (this.count >= limits.receiveMaximum) {
      throw new PenstockError(
        'INGEST_RECEIVE_MAXIMUM',
        `more than ${limits.receiveMaximum} messages without acknowledgement [MQTT-3.3.4-7]`,
      )
    }
    const larger = new Uint16Array(this.#ids.length * 2)
    const mask = this.#ids.length - 1
    for (let i = 0; i < this.count; i++) larger[i] = this.#ids[(this.#first + i) & mask] as number
    this.#ids = larger
    this.#first = 0
  }
}
