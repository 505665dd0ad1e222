/**
 * Keeps the embedded engine from writing to a full disk.
 *
 * chDB 3.4.0 goes on when the disk refuses a write. An insert or a merge then succeeds, and leaves a part of empty files behind (seen with
 * ENOSPC under strace). So nothing may write when the disk is full:
 *
 *   free bytes    twice the low mark        low mark                      exhausted mark
 *   ─────────────────── roomy ────────────────▶│──── low ────────────────────▶│──── exhausted
 *                                              what writes is refused (243),     something still writes: the process is killed
 *       │◀──────────── roomy again ────────────merges are stopped                nothing does: queries go on
 *
 * After the kill the engine recovers as after any crash. It starts again once there is room, sets broken parts aside, and uses the parts
 * that were merged into them instead (`old_parts_lifetime`). Inserts under way were not answered, and are repeated.
 */
import { statfsSync } from 'node:fs'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type BackOff, retry } from '#runtime/retry.ts'
import { limits } from '#schemas/limits.ts'
import { EngineError } from './engine-error.ts'

export interface DiskWatchOptions {
  readonly freeBytes: () => number
  readonly clock: Clock
  readonly logger: Logger
  /** Resolves when no merge runs any more and none begins. */
  readonly stopMerges: () => Promise<void>
  readonly startMerges: () => Promise<void>
  /** Called when the disk may refuse writes that are under way. Must not return. */
  readonly onExhausted: () => void
}

/** No disk fills faster. So between two checks the free space can't fall from the last value to nothing. */
const fillBytesPerMsMax = 4 * 1024 * 1024
const lookDelayMsMin = 10
const lookDelayMsMax = 1_000
const switchBackOff: BackOff = { firstMs: 1_000, factor: 1, maxMs: 1_000, jitter: 0 }

export class DiskWatch {
  readonly #options: DiskWatchOptions
  #low = false
  #merging = true
  #switching: Promise<void> | undefined
  #writers = 0
  #cancelLook: () => void = () => {}
  #closed = false

  constructor(options: DiskWatchOptions) {
    this.#options = options
    this.#lookAgain()
  }

  /** Runs `write`. Resolves with its result only if its writes had room. @throws EngineError NOT_ENOUGH_SPACE before it begins */
  async writing<T>(write: () => Promise<T>): Promise<T> {
    this.assertRoom()
    this.#writers++
    try {
      const result = await write()
      this.#look()
      return result
    } finally {
      this.#writers--
      assert(this.#writers >= 0, 'a write ends once')
    }
  }

  /** @throws EngineError NOT_ENOUGH_SPACE if nothing may be written now */
  assertRoom(): void {
    this.#look()
    if (this.#low)
      throw new EngineError(243, 'NOT_ENOUGH_SPACE', `Less than ${limits.diskLowBytes} bytes are free on the disk`)
  }

  /** Resolves when the engine is no longer asked for anything. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelLook()
    await this.#switching
  }

  #lookAgain(): void {
    const delayMs = Math.floor((this.#look() - limits.diskExhaustedBytes) / fillBytesPerMsMax)
    this.#cancelLook = this.#options.clock.after(Math.min(lookDelayMsMax, Math.max(lookDelayMsMin, delayMs)), () =>
      this.#lookAgain(),
    )
  }

  #look(): number {
    const { freeBytes, onExhausted, logger } = this.#options
    const free = freeBytes()
    assert(free >= 0, `the disk has free bytes, not ${free}`)
    if (free < limits.diskExhaustedBytes && (this.#writers > 0 || this.#merging)) {
      logger.error('the disk is full while the engine writes; it is killed and starts again when there is room', {
        free,
      })
      onExhausted()
    }
    const isLow = free < limits.diskLowBytes || (this.#low && free < 2 * limits.diskLowBytes)
    if (isLow !== this.#low) {
      this.#low = isLow
      logger[isLow ? 'error' : 'info'](
        isLow ? 'the disk is nearly full: inserts are refused until there is room' : 'the disk has room again',
        { free, low: limits.diskLowBytes },
      )
    }
    if (this.#merging === this.#low) this.#switching ??= this.#switchMerges()
    return free
  }

  /** Stops or starts merges, until the engine has done what was last asked for. */
  async #switchMerges(): Promise<void> {
    const { clock, logger } = this.#options
    while (this.#merging === this.#low && !this.#closed)
      await retry(() => this.#switchOnce(), {
        backOff: switchBackOff,
        clock,
        isRetryable: () => true,
        onRetry: (error) => logger.warn('merges could not be switched', { low: this.#low, error }),
      })
    this.#switching = undefined
  }

  async #switchOnce(): Promise<void> {
    const low = this.#low
    if (this.#merging !== low || this.#closed) return
    const { stopMerges, startMerges } = this.#options
    if (!low) this.#merging = true
    await (low ? stopMerges() : startMerges())
    this.#merging = !low
  }
}

/** Free bytes of the file system of `folder`. */
export function freeBytesOf(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}
