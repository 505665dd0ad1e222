import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'
import { SpaceSaving } from './space-saving.ts'

/** One device among the noisiest, over the window that `Noisiest.since` tells. Figures may be too high by their error. */
export interface NoisyDevice {
  readonly deviceId: string
  readonly amount: number
  readonly error: number
}

export interface NoisiestReport {
  readonly fromMs: number
  readonly toMs: number
  readonly byMessages: readonly NoisyDevice[]
  readonly byBytes: readonly NoisyDevice[]
}

interface Window {
  readonly fromMs: number
  readonly messages: SpaceSaving
  readonly bytes: SpaceSaving
}

const windowMs = 60_000

/** Which devices send most at this edge process: the present minute and the one before, in bounded memory. */
export class Noisiest {
  readonly #clock: Clock
  #before: Window
  #present: Window

  constructor(clock: Clock) {
    this.#clock = clock
    this.#present = newWindow(clock.nowMs())
    this.#before = this.#present
  }

  /** Called once a second and device that sent something, and once an HTTP request. */
  add(deviceId: string, messages: number, bytes: number): void {
    assert(messages >= 0 && bytes >= 0, 'what a device sent is counted, never taken back')
    this.#turn()
    this.#present.messages.add(deviceId, messages)
    this.#present.bytes.add(deviceId, bytes)
  }

  /** The heaviest of the last whole minute, or of the present one while there is none before it. */
  report(countMax: number): NoisiestReport {
    this.#turn()
    assert(countMax > 0, 'a report names a device')
    const { fromMs, messages, bytes } = this.#before
    return {
      fromMs,
      toMs: this.#before === this.#present ? this.#clock.nowMs() : this.#present.fromMs,
      byMessages: noisyDevices(messages, countMax),
      byBytes: noisyDevices(bytes, countMax),
    }
  }

  #turn(): void {
    const nowMs = this.#clock.nowMs()
    const ageMs = nowMs - this.#present.fromMs
    if (ageMs >= 0 && ageMs < windowMs) return
    // After a silence of a whole window the one before says nothing any more.
    const former = ageMs >= 0 && ageMs < 2 * windowMs ? this.#present : newWindow(nowMs)
    this.#present = newWindow(nowMs)
    this.#before = former
  }
}

function newWindow(fromMs: number): Window {
  return { fromMs, messages: new SpaceSaving(limits.noisyDevicesKept), bytes: new SpaceSaving(limits.noisyDevicesKept) }
}

function noisyDevices(sketch: SpaceSaving, countMax: number): NoisyDevice[] {
  return sketch.heaviest(countMax).map(({ key, weight, error }) => ({ deviceId: key, amount: weight, error }))
}
