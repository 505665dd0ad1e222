/**
 * Gathers envelopes into one open batch a partition and settles each batch with the log.
 *
 *        write                close                    compressed            durable
 *   ───────────▶ open batch ─────────▶ closed (FIFO) ─────────────▶ appending ─────────▶ settled: owners acknowledge
 *                  size | age | day      zstandard, on the thread pool   one record at a time, retried until it holds;
 *                                                                        what waits meanwhile joins the next record
 *
 * Blocks are compressed side by side, but a partition appends one batch at a time and in order: that keeps a device's order on
 * the log (G-3) and its acknowledgements in order [MQTT-4.6.0-2]. A batch that is due by age waits while two others of its
 * partition are under way, and so grows with the load instead of the queue. Owners hear of a batch only after the log
 * confirmed it (G-1).
 *
 * When full: `pendingBytes` counts the capacity of all buffers that are not yet settled. Above `pendingBytesMax` the batcher
 * asks its listener to pause all sockets, and to resume at half of it (G-4).
 */
import { assert } from '#runtime/assert.ts'
import { BlockCompressor } from '#runtime/block-compressor.ts'
import { blockThread } from '#runtime/block-thread.ts'
import type { Histogram, Metrics } from '#runtime/metrics.ts'
import { longBytes } from '#schemas/batch.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import { utcDayOf } from '#schemas/time.ts'
import { BatchBuffers, type OpenBatch, owedBySentOver, type SentOver } from './batch.ts'
import { ClosedTogether } from './closed-together.ts'
import { Gathering } from './gathering.ts'
import { type AppendOptions, PartitionBatcher, type WholeBatcher } from './partition-batcher.ts'

export interface BatcherOptions extends AppendOptions {
  readonly metrics: Metrics<MetricName>
  /** Age at which an open batch is closed, while the edge does not gather (`Gathering`). */
  readonly batchDelayMs: number
  readonly pendingBytesMax: number
  /** Told `true` when sockets must pause and `false` when they may go on. */
  readonly onFull: (full: boolean) => void
}

export class Batcher implements WholeBatcher {
  readonly options: BatcherOptions
  readonly #partitions: PartitionBatcher[] = []
  #spreadOver = 0
  #earlierUnsettled = 0
  readonly buffers = new BatchBuffers(16)
  readonly compressor = new BlockCompressor()
  readonly #gathering: Gathering
  /** Time of the messages being written, as a number and as an Avro long; set by `tick`. */
  nowMs = 0
  time: Uint8Array = longBytes(0)
  day = -1
  pendingBytes = 0
  #isOverfull = false
  #isSuspended = false
  readonly appendedTotal
  readonly #appendSeconds
  /** By how messages came; those of QoS 0, which nobody waits for, by `none`. */
  readonly #acknowledgeSeconds = new Map<SentOver | 'none', Histogram>()
  readonly appendedBytesTotal
  readonly failuresTotal
  readonly droppedTotal
  readonly #pauses
  /** Set while open batches wait to be closed. */
  #stopDelay: (() => void) | undefined
  #sleptAtMs = 0
  #draining = false
  #closing = false

  constructor(options: BatcherOptions) {
    assert(Number.isInteger(options.log.partitionCount) && options.log.partitionCount > 0, 'the log has partitions')
    assert(options.pendingBytesMax > 0, 'there is room for a batch')
    this.options = options
    this.#gathering = new Gathering(options.batchDelayMs)
    this.appendedTotal = options.metrics.series('penstock_edge_batches_appended_total')
    this.#appendSeconds = options.metrics.histogram('penstock_edge_append_seconds')
    this.appendedBytesTotal = options.metrics.series('penstock_edge_batch_bytes_total')
    this.failuresTotal = options.metrics.series('penstock_edge_append_failures_total')
    this.droppedTotal = options.metrics.series('penstock_edge_messages_dropped_total', { reason: 'LOG_APPEND_FAILED' })
    this.#pauses = options.metrics.series('penstock_edge_pauses_total')
    this.spread(options.spread?.count ?? options.log.partitionCount)
    this.tick()
  }

  get partitions(): readonly PartitionBatcher[] {
    return this.#partitions
  }

  /** Partitions that devices are spread over. */
  get spreadOver(): number {
    return this.#spreadOver
  }

  get earlierUnsettled(): number {
    return this.#earlierUnsettled
  }

  /** Sockets are to pause. */
  get full(): boolean {
    return this.#isOverfull || this.#isSuspended
  }

  get closing(): boolean {
    return this.#closing
  }

  /** One addition a batch. */
  observeAppended(batch: OpenBatch): void {
    this.#appendSeconds.observe(this.#ageSeconds(batch), batch.messageCount)
  }

  /** One addition a batch and way on which its messages came. */
  observeSettled(batch: OpenBatch): void {
    const seconds = this.#ageSeconds(batch)
    let rest = batch.messageCount
    for (const [sentOver, count] of owedBySentOver(batch)) {
      this.#acknowledged(sentOver).observe(seconds, count)
      rest -= count
    }
    if (rest > 0) this.#acknowledged('none').observe(seconds, rest)
  }

  #acknowledged(transport: SentOver | 'none'): Histogram {
    const known = this.#acknowledgeSeconds.get(transport)
    if (known !== undefined) return known
    const made = this.options.metrics.histogram('penstock_edge_acknowledge_seconds', { transport })
    this.#acknowledgeSeconds.set(transport, made)
    return made
  }

  /** Messages of a batch are as old as its first. A clock that was set back makes none younger than nothing. */
  #ageSeconds({ enqueuedAtMsFirst }: OpenBatch): number {
    return Math.max(0, this.options.clock.nowMs() - enqueuedAtMsFirst) / 1_000
  }

  partitionOf(deviceId: Uint8Array): PartitionBatcher {
    const partition = this.#partitions[partitionOfDevice(deviceId, this.#spreadOver)]
    assert(partition !== undefined, 'every device has a partition of the log')
    return partition
  }

  /**
   * Reads the clock. Called once a chunk, before its messages are written. Closes open batches when the UTC day changed
   * or the clock was set back: a batch lies within one day, and its times never fall.
   */
  tick(): void {
    const nowMs = this.options.clock.nowMs()
    if (nowMs === this.nowMs) return
    const wentBack = nowMs < this.nowMs
    this.nowMs = nowMs
    this.time = longBytes(nowMs)
    const day = utcDayOf(nowMs)
    if (day === this.day && !wentBack) return
    this.day = day
    for (const partition of this.partitions) partition.close()
  }

  /**
   * Begins the delay after which all open batches are closed, unless it runs already. All partitions share it, since
   * what is closed together shares the log's commit.
   */
  closeLater(): void {
    if (this.#stopDelay !== undefined) return
    const isForSettled = this.#gathers() && this.#isUnderWay
    const delayMs = isForSettled ? this.#gathering.periodMs : this.options.batchDelayMs
    this.#stopDelay = this.options.clock.after(delayMs, () => this.#closeDue())
  }

  /**
   * A partition has settled what was under way. After the last one an edge that gathers sleeps until its period is over, looks at
   * all its sockets once, and closes what they brought.
   */
  settled(): void {
    if (!this.#gathers() || this.#draining || this.#isUnderWay || !this.#gathering.maySleep(this.options.clock.nowMs()))
      return
    const { clock } = this.options
    const sleepMs = this.#sleptAtMs + this.#gathering.periodMs - clock.monotonicMs()
    if (sleepMs > 0) blockThread(sleepMs)
    this.#sleptAtMs = clock.monotonicMs()
    this.#stopDelay?.()
    this.#stopDelay = () => {}
    // The first callback runs before the loop looks at its sockets, the second after it.
    setImmediate(() => setImmediate(() => this.#closeDue()))
  }

  #closeDue(): void {
    this.#stopDelay = undefined
    const together = new ClosedTogether()
    for (const partition of this.partitions) partition.closeWhenDue(together)
  }

  /** Looks at what was acknowledged, when it is time to. */
  #gathers(): boolean {
    return this.#gathering.isOn(this.nowMs)
  }

  get #isUnderWay(): boolean {
    return this.partitions.some((partition) => partition.isUnderWay)
  }

  /** Something came whose next step should not wait for a sleep: a socket, a part of a handshake, a CONNECT, a request. */
  stayAwake(): void {
    this.#gathering.stayAwake(this.options.clock.nowMs())
  }

  /** One write acknowledged so many messages. */
  acknowledged(messages: number): void {
    this.#gathering.acknowledged(messages)
  }

  hold(bytes: number): void {
    assert(bytes > 0, 'a buffer that is held has bytes')
    this.pendingBytes += bytes
    if (this.#isOverfull || this.pendingBytes <= this.options.pendingBytesMax) return
    this.#pauses.add(1)
    this.#pause(() => {
      this.#isOverfull = true
    })
  }

  release(bytes: number): void {
    assert(bytes > 0 && bytes <= this.pendingBytes, 'no more is released than is held')
    this.pendingBytes -= bytes
    if (!this.#isOverfull || this.pendingBytes > this.options.pendingBytesMax / 2) return
    this.#pause(() => {
      this.#isOverfull = false
    })
  }

  /** Pauses sockets, whether it is full or not, and closes what is open: so all of it is settled soon. */
  suspend(): void {
    this.#pause(() => {
      this.#isSuspended = true
    })
    for (const partition of this.#partitions) partition.close()
  }

  resume(): void {
    this.#pause(() => {
      this.#isSuspended = false
    })
  }

  /**
   * Spreads devices over so many partitions from now on, more than before. What is open or waits to be appended is refused; what comes is
   * appended once all before it is settled.
   */
  spread(count: number): void {
    assert(count > this.#spreadOver, `partitions are added to ${this.#spreadOver}, and ${count} is no more`)
    this.#spreadOver = count
    for (const partition of this.#partitions) partition.close()
    this.#earlierUnsettled = this.#partitions.reduce((sum, { unsettled }) => sum + unsettled, 0)
    for (let index = this.#partitions.length; index < count; index++)
      this.#partitions.push(new PartitionBatcher(this, index))
    // What waited for those before an earlier growth is itself before this one.
    for (const partition of this.#partitions) void partition.appendInOrder()
  }

  settledOf(spreadOver: number, batches: number): void {
    if (spreadOver === this.#spreadOver) return
    this.#earlierUnsettled -= batches
    assert(this.#earlierUnsettled >= 0, 'no more is settled than waited when devices were spread anew')
    const isUnderWay = this.#earlierUnsettled === 0 || this.#isUnderWay
    assert(
      isUnderWay,
      'what waits for batches from before devices were spread anew waits for some: it would wait for ever',
    )
    if (this.#earlierUnsettled === 0) for (const partition of this.#partitions) void partition.appendInOrder()
  }

  get isIdle(): boolean {
    return this.#partitions.every((partition) => partition.isIdle)
  }

  /** Tells of it if sockets are to pause now and were not before, or the other way round. */
  #pause(change: () => void): void {
    const wasFull = this.full
    change()
    if (this.full !== wasFull) this.options.onFull(this.full)
  }

  /** Closes every open batch and resolves when all are settled, or refused because `giveUp` aborted. */
  async drain(giveUp: AbortSignal): Promise<void> {
    this.#draining = true
    for (const partition of this.partitions) partition.close()
    const stop = () => {
      this.#closing = true
    }
    if (giveUp.aborted) stop()
    giveUp.addEventListener('abort', stop)
    await Promise.all(this.partitions.map((partition) => partition.idle()))
    assert(!this.isIdle || this.pendingBytes === 0, `nothing waits that could still hold ${this.pendingBytes} bytes`)
    giveUp.removeEventListener('abort', stop)
  }
}
