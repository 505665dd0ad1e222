/**
 * The end of the log, for people who look at it. It begins where the log ends, and reads nothing while nobody looks.
 *
 *   every `tailPollMs`   ranges ─▶ what is new, by partition ─▶ decoded once for all viewers ─▶ those whom it matches
 *
 * It must not slow devices down: each time it decodes for a few milliseconds at most, and no further than somebody has room for, whatever
 * comes in. What is beyond that is skipped and counted. A record says how many messages it has without being decoded; of records that
 * were not even read, the count is estimated by the last ones that were.
 */

import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log, LogRecord, PartitionRange } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { takeMessages } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { TailFilter } from './tail-filter.ts'
import { type TailReport, TailViewer } from './tail-viewer.ts'

export interface LogTailOptions {
  readonly log: Pick<Log, 'partitionCount' | 'ranges' | 'read' | 'positions'>
  /** Of that log; left out: it never grows. */
  readonly spread?: Pick<DeviceSpread, 'count'> | undefined
  /** Whose position says that a message has become a row. */
  readonly group: string
  readonly clock: Clock
  readonly logger: Logger
}

/** One viewer's part of the tail. */
export interface Watch {
  /** Since it was last called; `undefined`: nothing new. */
  report(): TailReport | undefined
  heartbeat(): TailReport
  end(): void
  /** Whether it is known where the log ended: what is appended from now on is seen. */
  readonly hasBegun: boolean
  /** Also where the tail was closed. */
  readonly hasEnded: boolean
}

/** What a message costs without its body. */
const messageBytes = 200

export class LogTail {
  readonly #options: LogTailOptions
  readonly #viewers = new Set<TailViewer>()
  /** Next offset to read, by partition; empty while nobody looks. */
  readonly #positions = new Map<number, number>()
  /** Messages a record, as last read. */
  #recordMessages = 1
  #isRunning = false
  #isFailing = false
  #cancel: (() => void) | undefined
  /** Since the log was last asked for what is new. */
  #decodeMs = 0
  #decodeBytes = 0
  /** Where the next look begins, so that each partition comes first in turn. */
  #firstPartition = 0

  constructor(options: LogTailOptions) {
    this.#options = options
  }

  /** @param wantsStored to be told when the first message has become a row @throws CONSOLE_VIEWERS_FULL */
  watch(filter: TailFilter, wantsStored: boolean): Watch {
    if (this.#viewers.size >= limits.tailViewersMax)
      throw new PenstockError('CONSOLE_VIEWERS_FULL', `${limits.tailViewersMax} others look at the tail already`)
    const { log, spread, clock } = this.#options
    const viewer = new TailViewer(filter, spread?.count ?? log.partitionCount, wantsStored, clock)
    const [viewers, positions] = [this.#viewers.add(viewer), this.#positions]
    if (!this.#isRunning) {
      this.#isRunning = true
      this.#schedule(0)
    }
    return {
      report: () => viewer.report(),
      heartbeat: () => viewer.heartbeat(),
      end: () => {
        viewers.delete(viewer)
      },
      get hasBegun() {
        return positions.size > 0
      },
      get hasEnded() {
        return !viewers.has(viewer)
      },
    }
  }

  close(): void {
    this.#viewers.clear()
    this.#cancel?.()
  }

  #schedule(delayMs: number): void {
    this.#cancel = this.#options.clock.after(delayMs, () => void this.#step())
  }

  async #step(): Promise<void> {
    try {
      await this.#readOn()
      await this.#lookForRows()
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#options.logger.warn('the end of the log cannot be read for the console', { error })
      this.#isFailing = true
    }
    if (this.#viewers.size > 0) this.#schedule(limits.tailPollMs)
    else {
      this.#isRunning = false
      this.#positions.clear()
    }
  }

  async #readOn(): Promise<void> {
    const ranges = await this.#options.log.ranges()
    this.#decodeMs = 0
    this.#decodeBytes = 0
    this.#firstPartition = (this.#firstPartition + 1) % ranges.length
    for (let index = 0; index < ranges.length; index++) {
      const partition = (this.#firstPartition + index) % ranges.length
      const range = ranges[partition]
      assert(range !== undefined, 'a log has a range for each of its partitions')
      await this.#readPartition(partition, range)
    }
  }

  async #readPartition(partition: number, { first, next }: PartitionRange): Promise<void> {
    const position = Math.max(this.#positions.get(partition) ?? next, first)
    const viewers = [...this.#viewers].filter((viewer) => viewer.looksAt(partition))
    if (position >= next || !this.#mayDecode() || !viewers.some((viewer) => viewer.hasRoom())) {
      this.#positions.set(partition, next)
      skip(viewers, Math.max(next - position, 0) * this.#recordMessages)
      return
    }
    const start = Math.max(position, next - limits.tailRecordsMax)
    const records = await this.#options.log.read(partition, start, limits.tailReadBytesMax)
    // What cannot be read yet is read next time, as is what was appended meanwhile.
    const last = records.at(-1)?.offset
    assert(last === undefined || last >= start, `records from ${start} on are read, and not up to ${last}`)
    this.#positions.set(partition, last === undefined ? start : Math.max(next, last + 1))
    skip(viewers, (start - position) * this.#recordMessages)
    for (const record of records) this.#show(partition, record, viewers)
    if (last !== undefined) skip(viewers, Math.max(next - 1 - last, 0) * this.#recordMessages)
  }

  /** As many messages of a record as there is time and room for, and no others are decoded. */
  #show(partition: number, { offset, stamp, value }: LogRecord, viewers: readonly TailViewer[]): void {
    this.#recordMessages = stamp.messageCount
    const wanting = this.#mayDecode() ? viewers.filter((viewer) => viewer.hasRoom()) : []
    let left = stamp.messageCount
    if (wanting.length > 0) {
      let beganMs = this.#options.clock.monotonicMs()
      takeMessages(value, ({ envelope }) => {
        for (const viewer of wanting) viewer.offer(partition, offset, envelope)
        left--
        const nowMs = this.#options.clock.monotonicMs()
        this.#decodeMs += nowMs - beganMs
        this.#decodeBytes += envelope.body.byteLength + messageBytes
        beganMs = nowMs
        return this.#mayDecode() && !wanting.every(({ isFull }) => isFull)
      })
    }
    for (const viewer of viewers) viewer.skip(wanting.includes(viewer) ? left : stamp.messageCount)
  }

  /** Whether there is time left for it. A few messages are always shown, however little of the processor this one gets. */
  #mayDecode(): boolean {
    return this.#decodeMs < limits.tailDecodeMsMax || this.#decodeBytes < limits.tailDecodeBytesMin
  }

  async #lookForRows(): Promise<void> {
    const awaiting = [...this.#viewers].filter(({ awaited }) => awaited !== undefined)
    if (awaiting.length === 0) return
    const positions = await this.#options.log.positions(this.#options.group)
    const nowMs = this.#options.clock.nowMs()
    for (const viewer of awaiting) {
      const { awaited } = viewer
      if (awaited !== undefined && (positions[awaited.partition]?.offset ?? 0) > awaited.offset) viewer.onStored(nowMs)
    }
  }
}

function skip(viewers: readonly TailViewer[], count: number): void {
  for (const viewer of viewers) viewer.skip(count)
}
