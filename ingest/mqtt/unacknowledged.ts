import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

const firstSlots = 16

/**
 * Packet ids of QoS 1 messages that wait for their batch, oldest first: a ring that doubles up to `limits.receiveMaximum`.
 * Acknowledgements leave in the order the messages came [MQTT-4.6.0-2].
 */
export class Unacknowledged {
  #ids = new Uint16Array(firstSlots)
  /** At this count the ring grows, or refuses: its last doubling has a slot more than may be taken. */
  #fullAt = firstSlots
  #first = 0
  count = 0
  /** Ids that ever left; with `count` it numbers all that came. */
  #left = 0
  /** Numbers of those, still here, that no batch holds. */
  readonly #settled: number[] = []

  /** @throws INGEST_RECEIVE_MAXIMUM. HOT: per QoS 1 message. */
  push(packetId: number): void {
    if (this.count === this.#fullAt) this.#grow()
    this.#ids[(this.#first + this.count) & (this.#ids.length - 1)] = packetId
    this.count++
  }

  /**
   * A message that no batch holds: it is acknowledged with what came before it.
   * @returns true if nothing did, so that `pubacks(0)` has its acknowledgement
   * @throws as `push`
   */
  pushSettled(packetId: number): boolean {
    this.push(packetId)
    this.#settled.push(this.#left + this.count - 1)
    return this.count === 1
  }

  /**
   * PUBACK packets for the oldest `batchCount` ids that batches hold, and for others among and right behind them; all are then
   * forgotten. Success has the same four bytes in both versions.
   */
  pubacks(batchCount: number): Buffer {
    const count = this.#settled.length === 0 ? batchCount : this.#countWithSettled(batchCount)
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
    this.#left += count
    return packets
  }

  #countWithSettled(batchCount: number): number {
    let count = batchCount
    while (this.#settled[0] !== undefined && this.#settled[0] <= this.#left + count) {
      this.#settled.shift()
      count++
    }
    return count
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
    this.#fullAt = Math.min(larger.length, limits.receiveMaximum)
    this.#first = 0
  }
}
