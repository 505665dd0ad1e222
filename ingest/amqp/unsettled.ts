import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'

const firstSlots = 16

/**
 * Deliveries of one link that wait for their batches, oldest first, with how many messages each brought: a ring that doubles. How many it
 * may hold is bounded by the credit of its link.
 */
export class UnsettledDeliveries {
  #ids = new Uint32Array(firstSlots)
  /** Messages of each that no batch has settled yet. */
  #messages = new Uint32Array(firstSlots)
  #first = 0
  count = 0

  /** HOT: per delivery. */
  push(deliveryId: number, messages: number): void {
    if (this.count === this.#ids.length) this.#grow()
    const at = (this.#first + this.count) & (this.#ids.length - 1)
    this.#ids[at] = deliveryId
    this.#messages[at] = messages
    this.count++
  }

  /**
   * The oldest `messages` messages are durable. HOT: per batch and link.
   * @param onRun told the first and last id of each run of deliveries all of whose messages are; ids in a run follow one another
   */
  settle(messages: number, onRun: (first: number, last: number) => void): void {
    let left = messages
    let runFirst = -1
    let runLast = -1
    while (left > 0) {
      assert(this.count > 0, 'a batch settles no more messages than wait [G-1]')
      const at = this.#first
      const waiting = this.#messages[at] as number
      if (waiting > left) {
        this.#messages[at] = waiting - left
        break
      }
      left -= waiting
      const id = this.#ids[at] as number
      if (runFirst >= 0 && id !== (runLast + 1) >>> 0) {
        onRun(runFirst, runLast)
        runFirst = id
      } else if (runFirst < 0) runFirst = id
      runLast = id
      this.#first = (this.#first + 1) & (this.#ids.length - 1)
      this.count--
    }
    if (runFirst >= 0) onRun(runFirst, runLast)
  }

  #grow(): void {
    assert(this.count < limits.amqpUnsettledMax, 'a link has no credit for more than may wait [G-4]')
    const [ids, messages] = [this.#ids, this.#messages]
    this.#ids = new Uint32Array(ids.length * 2)
    this.#messages = new Uint32Array(ids.length * 2)
    for (let i = 0; i < this.count; i++) {
      const at = (this.#first + i) & (ids.length - 1)
      this.#ids[i] = ids[at] as number
      this.#messages[i] = messages[at] as number
    }
    this.#first = 0
  }
}
