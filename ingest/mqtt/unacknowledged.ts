import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

const firstSlots = 16
const pubackBytesMax = 5

/** A message that is not stored: it was answered, or refused. */
interface SettledMessage {
  /** As `Unacknowledged` numbers all that came. */
  readonly number: number
  readonly reasonCode: number
}

/**
 * Packet ids of QoS 1 messages that wait for their batch, oldest first: a ring that doubles up to `limits.receiveMaximum`.
 * Acknowledgements leave in the order the messages came [MQTT-4.6.0-2].
 */
export class Unacknowledged {
  #ids = new Uint16Array(firstSlots)
  /** At this count the ring grows, or refuses. Its last doubling has one slot more than may be taken. */
  #fullAt = firstSlots
  #first = 0
  count = 0
  /** Ids that have left. With `count` it numbers all that ever came. */
  #left = 0
  /** Messages that wait and that no batch holds, oldest first. */
  readonly #settled: SettledMessage[] = []

  /** @throws INGEST_RECEIVE_MAXIMUM. HOT: per QoS 1 message. */
  push(packetId: number): void {
    if (this.count === this.#fullAt) this.#grow()
    this.#ids[(this.#first + this.count) & (this.#ids.length - 1)] = packetId
    this.count++
  }

  /**
   * A message that no batch holds: it is acknowledged with what came before it.
   * @param reasonCode of MQTT 5.0; 0: success
   * @returns true if nothing did, so that `pubacks(0)` has its acknowledgement
   * @throws as `push`
   */
  pushSettled(packetId: number, reasonCode: number): boolean {
    this.push(packetId)
    this.#settled.push({ number: this.#left + this.count - 1, reasonCode })
    return this.count === 1
  }

  /**
   * PUBACK packets for the oldest `batchCount` ids that batches hold, and for those that none holds among and right
   * behind them. All of these are then forgotten. Success has the same four bytes in both versions.
   */
  pubacks(batchCount: number): Buffer {
    assert(batchCount >= 0 && batchCount <= this.count, 'a batch held messages that wait here')
    if (this.#settled.length > 0) return this.#pubacksWithSettled(batchCount)
    const packets = Buffer.allocUnsafe(batchCount * 4)
    for (let i = 0, at = 0; i < batchCount; i++) at = writePuback(packets, at, this.#idAt(i), 0)
    this.#forget(batchCount)
    return packets
  }

  #pubacksWithSettled(batchCount: number): Buffer {
    const packets = Buffer.allocUnsafe((batchCount + this.#settled.length) * pubackBytesMax)
    let at = 0
    let count = 0
    let settledCount = 0
    let heldCount = 0
    for (; count < this.count; count++) {
      const settled = this.#settled[settledCount]
      const isSettled = settled?.number === this.#left + count
      if (!isSettled && heldCount === batchCount) break
      at = writePuback(packets, at, this.#idAt(count), isSettled ? settled.reasonCode : 0)
      if (isSettled) settledCount++
      else heldCount++
    }
    assert(heldCount === batchCount, 'a batch acknowledges as many messages as it held [G-1]')
    this.#settled.splice(0, settledCount)
    this.#forget(count)
    const next = this.#settled[0]?.number ?? this.#left
    assert(next >= this.#left, 'what no batch holds is acknowledged in its turn [MQTT-4.6.0-2]')
    return packets.subarray(0, at)
  }

  #idAt(index: number): number {
    return this.#ids[(this.#first + index) & (this.#ids.length - 1)] as number
  }

  #forget(count: number): void {
    this.#first = (this.#first + count) & (this.#ids.length - 1)
    this.count -= count
    this.#left += count
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
    assert((larger.length & (larger.length - 1)) === 0, 'a ring has a power of two of slots')
    this.#ids = larger
    this.#fullAt = Math.min(larger.length, limits.receiveMaximum)
    this.#first = 0
  }
}

/**
 * Success is left out; another reason, which MQTT 5.0 alone has, stands without its properties (section 3.4.2.2.1).
 * HOT: per acknowledged message. @returns where the packet ends
 */
function writePuback(target: Buffer, start: number, id: number, reasonCode: number): number {
  let at = start
  target[at++] = 0x40
  target[at++] = reasonCode === 0 ? 2 : 3
  target[at++] = id >>> 8
  target[at++] = id & 0xff
  if (reasonCode !== 0) target[at++] = reasonCode
  return at
}
