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
import type { BatchStamp, Log } from '#pipeline/log/log.ts'
import { blockThread } from '#runtime/block-thread.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Histogram, Metrics } from '#runtime/metrics.ts'
import { batchFromBlock, batchSchemaVersion, blocksOfBatch, longBytes } from '#schemas/batch.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import { utcDayOf } from '#schemas/time.ts'
import { BatchBuffers, type BatchOwner, type EnvelopeFrame, fitsBlock, OpenBatch } from './batch.ts'
import { BlockCompressor } from './block-compressor.ts'
import { Gathering } from './gathering.ts'

export interface BatcherOptions {
  readonly log: Log
  readonly edgeId: string
  readonly epoch: number
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
  /** Age at which an open batch is closed, while the edge does not gather (`Gathering`). */
  readonly batchDelayMs: number
  readonly pendingBytesMax: number
  /** Told `true` when sockets must pause and `false` when they may go on. */
  readonly onFull: (full: boolean) => void
}

const underWayMax = 2
const retryDelayMsMin = 50
const retryDelayMsMax = 5_000

/**
 * Batches that were closed at once. They are appended once all of them are compressed: so they reach the log in one turn of the
 * event loop and share its commit.
 */
class ClosedTogether {
  readonly #partitions: PartitionBatcher[] = []
  #compressing = 0

  add(partition: PartitionBatcher): void {
    this.#partitions.push(partition)
    this.#compressing++
  }

  compressed(): void {
    this.#compressing--
    if (this.#compressing > 0) return
    for (const partition of this.#partitions.splice(0)) void partition.appendInOrder()
  }
}

interface ClosedBatch {
  readonly batch: OpenBatch
  readonly capacityBytes: number
  /** A complete batch of one block, once compressed. */
  value: Buffer | undefined
}

interface CompressedBatch extends ClosedBatch {
  readonly value: Buffer
}

export class Batcher {
  readonly options: BatcherOptions
  readonly partitions: readonly PartitionBatcher[]
  readonly buffers = new BatchBuffers(16)
  readonly compressor = new BlockCompressor()
  readonly #gathering: Gathering
  /** Time of the messages being written, as a number and as an Avro long; set by `tick`. */
  nowMs = 0
  time: Uint8Array = longBytes(0)
  day = -1
  pendingBytes = 0
  full = false
  readonly appendedTotal
  readonly appendSeconds
  readonly acknowledgeSeconds
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
    this.options = options
    this.#gathering = new Gathering(options.batchDelayMs)
    this.appendedTotal = options.metrics.series('penstock_edge_batches_appended_total')
    this.appendSeconds = options.metrics.histogram('penstock_edge_append_seconds')
    this.acknowledgeSeconds = options.metrics.histogram('penstock_edge_acknowledge_seconds')
    this.appendedBytesTotal = options.metrics.series('penstock_edge_batch_bytes_total')
    this.failuresTotal = options.metrics.series('penstock_edge_append_failures_total')
    this.droppedTotal = options.metrics.series('penstock_edge_messages_dropped_total', { reason: 'LOG_APPEND_FAILED' })
    this.#pauses = options.metrics.series('penstock_edge_pauses_total')
    this.partitions = Array.from(
      { length: options.log.partitionCount },
      (_, index) => new PartitionBatcher(this, index),
    )
    this.tick()
  }

  get closing(): boolean {
    return this.#closing
  }

  /** One addition a batch: its messages are as old as its first. A clock that was set back makes none younger than nothing. */
  observeAge(seconds: Histogram, { enqueuedAtMsFirst, messageCount }: OpenBatch): void {
    seconds.observe(Math.max(0, this.options.clock.nowMs() - enqueuedAtMsFirst) / 1_000, messageCount)
  }

  partitionOf(deviceId: Uint8Array): PartitionBatcher {
    return this.partitions[partitionOfDevice(deviceId, this.partitions.length)] as PartitionBatcher
  }

  /** Reads the clock; called once a chunk, before its messages are written. Closes open batches when the UTC day
   * changed or the clock was set back, so that a batch lies within one day and its times never fall. */
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
   * Begins the delay after which all open batches are closed; a batch waits for one delay at most. It is one for all partitions,
   * since what is closed together shares the log's commit.
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
    // The first comes before the loop looks at its sockets, the second after it.
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
    this.pendingBytes += bytes
    if (this.full || this.pendingBytes <= this.options.pendingBytesMax) return
    this.full = true
    this.#pauses.add(1)
    this.options.onFull(true)
  }

  release(bytes: number): void {
    this.pendingBytes -= bytes
    if (!this.full || this.pendingBytes > this.options.pendingBytesMax / 2) return
    this.full = false
    this.options.onFull(false)
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
    giveUp.removeEventListener('abort', stop)
  }
}

/** One partition of a `Batcher`. */
export class PartitionBatcher {
  readonly index: number
  readonly #batcher: Batcher
  readonly #closed: ClosedBatch[] = []
  #open: OpenBatch | undefined
  #openCapacityBytes = 0
  #due = false
  #sequence = 0
  #expectedBytes = 0
  #appending = false
  #idleWaiters: (() => void)[] = []

  constructor(batcher: Batcher, index: number) {
    this.#batcher = batcher
    this.index = index
  }

  /**
   * Takes in one message: bytes `bodyStart..bodyEnd` of `source`, which is copied before this returns. `owner` is told when the
   * message is settled; leave it out for QoS 0.
   * @throws INGEST_FRAME_TOO_LARGE if no block can hold it, which the limits of packets and requests exclude; nothing is written then
   * HOT: per message.
   */
  write(frame: EnvelopeFrame, source: Buffer, bodyStart: number, bodyEnd: number, owner: BatchOwner | undefined): void {
    let batch = this.#open
    if (batch === undefined || !batch.reserve(frame, bodyEnd - bodyStart)) {
      // Before a batch is begun for it: one without messages must not reach the log.
      if (!fitsBlock(frame, bodyEnd - bodyStart))
        throw new PenstockError('INGEST_FRAME_TOO_LARGE', `an envelope must fit ${limits.blockBytesMax} bytes`)
      if (batch !== undefined) this.close()
      batch = this.#begin()
      batch.reserve(frame, bodyEnd - bodyStart)
    }
    batch.write(frame, this.#batcher.time, source, bodyStart, bodyEnd)
    batch.enqueuedAtMsLast = this.#batcher.nowMs
    if (owner !== undefined) batch.owe(owner)
    if (batch.bytes.length !== this.#openCapacityBytes) this.#grown(batch)
  }

  /** Closes the open batch, whatever its age. */
  close(together = new ClosedTogether()): void {
    const batch = this.#open
    if (batch === undefined) return
    this.#open = undefined
    this.#due = false
    this.#expectedBytes = batch.length
    const closed: ClosedBatch = { batch, capacityBytes: this.#openCapacityBytes, value: undefined }
    this.#closed.push(closed)
    together.add(this)
    this.#compress(closed, together)
  }

  /** The delay is over: closes the open batch now, or once fewer batches are under way. */
  closeWhenDue(together: ClosedTogether): void {
    this.#due = this.#open !== undefined
    this.#closeIfDue(together)
  }

  /** Whether batches of it are closed, but not settled. */
  get isUnderWay(): boolean {
    return this.#closed.length > 0
  }

  /** Resolves when nothing of this partition is open or under way. */
  idle(): Promise<void> {
    if (this.#open === undefined && this.#closed.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  #begin(): OpenBatch {
    const { buffers, day, nowMs } = this.#batcher
    const batch = new OpenBatch(buffers, this.#expectedBytes, day, nowMs)
    this.#open = batch
    this.#openCapacityBytes = batch.bytes.length
    this.#batcher.hold(this.#openCapacityBytes)
    this.#batcher.closeLater()
    return batch
  }

  #grown(batch: OpenBatch): void {
    this.#batcher.hold(batch.bytes.length - this.#openCapacityBytes)
    this.#openCapacityBytes = batch.bytes.length
  }

  #closeIfDue(together?: ClosedTogether): void {
    if (this.#due && this.#closed.length < underWayMax) this.close(together)
  }

  #compress(closed: ClosedBatch, together: ClosedTogether): void {
    const { bytes, length, messageCount } = closed.batch
    this.#batcher.compressor.compress(bytes.subarray(0, length), (compressed) => {
      closed.value = batchFromBlock(messageCount, compressed)
      this.#batcher.buffers.give(bytes)
      together.compressed()
    })
  }

  /** Appends what is compressed, unless that is under way. */
  async appendInOrder(): Promise<void> {
    if (this.#appending) return
    this.#appending = true
    for (let next = this.#joined(); next.length > 0; next = this.#joined()) {
      const durable = await this.#append(next)
      this.#closed.splice(0, next.length)
      for (const { batch, capacityBytes } of next) {
        if (durable) this.#batcher.observeAge(this.#batcher.appendSeconds, batch)
        this.#settle(batch, durable)
        if (durable) this.#batcher.observeAge(this.#batcher.acknowledgeSeconds, batch)
        this.#batcher.release(capacityBytes)
      }
      this.#closeIfDue()
    }
    this.#appending = false
    this.#batcher.settled()
    if (this.#open === undefined && this.#closed.length === 0) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve()
    }
  }

  /**
   * The batches that wait at the front and may share one record: compressed, of one day, with times that do not fall, within the
   * bounds of a record. The slower the log, the more travel together.
   */
  #joined(): CompressedBatch[] {
    const joined: CompressedBatch[] = []
    let bytes = 0
    let rawBytes = 0
    let messages = 0
    for (const { batch, capacityBytes, value } of this.#closed) {
      if (value === undefined) break
      const before = joined.at(-1)?.batch
      bytes += value.length
      rawBytes += batch.length
      messages += batch.messageCount
      const fits =
        before === undefined ||
        (bytes <= limits.recordBytesMax &&
          rawBytes <= limits.recordRawBytesMax &&
          messages <= limits.recordMessagesMax &&
          batch.day === before.day &&
          batch.enqueuedAtMsFirst >= before.enqueuedAtMsLast)
      if (!fits) break
      joined.push({ batch, capacityBytes, value })
    }
    return joined
  }

  /** True once the log confirmed the batches; false if it never will. Failures that may pass are retried with the same bytes. */
  async #append(joined: readonly CompressedBatch[]): Promise<boolean> {
    const { options, appendedTotal, appendedBytesTotal, failuresTotal } = this.#batcher
    const [first, ...more] = joined as [CompressedBatch, ...CompressedBatch[]]
    const value =
      more.length === 0 ? first.value : Buffer.concat([first.value, ...more.map((next) => blocksOfBatch(next.value))])
    const stamp: BatchStamp = {
      schemaVersion: batchSchemaVersion,
      edgeId: options.edgeId,
      epoch: options.epoch,
      sequence: this.#sequence++,
      messageCount: joined.reduce((sum, { batch }) => sum + batch.messageCount, 0),
      enqueuedAtMsFirst: first.batch.enqueuedAtMsFirst,
      enqueuedAtMsLast: (more.at(-1) ?? first).batch.enqueuedAtMsLast,
    }
    for (let retryDelayMs = retryDelayMsMin; ; retryDelayMs = Math.min(retryDelayMs * 2, retryDelayMsMax)) {
      try {
        await options.log.append(this.index, stamp, value)
        appendedTotal.add(1)
        appendedBytesTotal.add(value.length)
        return true
      } catch (error) {
        failuresTotal.add(1)
        const willRetry = isPenstockError(error) && error.disposition === 'retry' && !this.#batcher.closing
        options.logger[willRetry ? 'warn' : 'error'](
          willRetry ? 'append failed, will be repeated' : 'append failed for good; its messages stay unacknowledged',
          { partition: this.index, messages: stamp.messageCount, retryDelayMs, error },
        )
        if (!willRetry) return false
        await sleep(options.clock, retryDelayMs)
      }
    }
  }

  #settle(batch: OpenBatch, durable: boolean): void {
    let owed = 0
    for (let i = 0; i < batch.owners.length; i++) {
      const owner = batch.owners[i] as BatchOwner
      const count = batch.ownerCounts[i] as number
      owed += count
      if (owner.batch === batch) owner.batch = undefined
      if (durable) {
        owner.settled(count)
        this.#batcher.acknowledged(count)
      } else owner.refused(count)
    }
    if (!durable) this.#batcher.droppedTotal.add(batch.messageCount - owed)
  }
}
