import type { BatchStamp, Log } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import type { BlockCompressor } from '#runtime/block-compressor.ts'
import type { Clock } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Counter } from '#runtime/metrics.ts'
import { type BackOff, isTransient, retry } from '#runtime/retry.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type BatchBuffers, type BatchOwner, type EnvelopeFrame, fitsBlock, OpenBatch } from './batch.ts'
import { ClosedTogether } from './closed-together.ts'
import { batchValue, type ClosedBatch, type CompressedBatch, joinable, recordOf } from './record.ts'

/** Over how many partitions of a log devices are spread; `DeviceSpread` is one. */
export interface Spread {
  readonly count: number
  isCertain(): boolean
  counts(partition: number, offset: number, count: number, isGivenUp: () => boolean): Promise<boolean>
}

export interface AppendOptions {
  readonly log: Log
  /** Left out: devices are spread over all partitions of the log, for ever. */
  readonly spread?: Spread | undefined
  /** With `epoch` and a sequence, what a record is known by: the same record appended twice counts once. */
  readonly edgeId: string
  readonly epoch: number
  readonly clock: Clock
  readonly logger: Logger
  /** Told of each record that the log confirmed; left out: nobody wants to know. */
  readonly onAppended?: ((appended: AppendedRecord) => void) | undefined
}

export interface AppendedRecord {
  readonly partition: number
  readonly offset: number
  readonly stamp: BatchStamp
  readonly bytes: number
}

/** What the partitions of one batcher share. */
export interface WholeBatcher {
  readonly options: AppendOptions
  readonly buffers: BatchBuffers
  readonly compressor: BlockCompressor
  /** Time of the messages being written, as a number and as an Avro long, and its UTC day. */
  readonly nowMs: number
  readonly time: Uint8Array
  readonly day: number
  /** Partitions that devices are spread over. */
  readonly spreadOver: number
  /** Batches that were begun before devices were spread as they are now, and are not settled. */
  readonly earlierUnsettled: number
  /** It drains, and was told to give up what the log does not confirm. */
  readonly closing: boolean
  readonly appendedTotal: Counter
  readonly appendedBytesTotal: Counter
  readonly failuresTotal: Counter
  readonly droppedTotal: Counter
  /** Counts how old the messages of a batch are now that the log has confirmed it. */
  observeAppended(batch: OpenBatch): void
  /** The same now that their senders know. */
  observeSettled(batch: OpenBatch): void
  /** Bytes of buffers are in use from now on, or no longer. */
  hold(bytes: number): void
  release(bytes: number): void
  /** A batch was begun. */
  closeLater(): void
  /** Batches were settled that were begun while devices were spread over so many partitions. */
  settledOf(spreadOver: number, batches: number): void
  /** A partition has settled what was under way. */
  settled(): void
  /** One write acknowledged so many messages. */
  acknowledged(messages: number): void
}

/** Batches of a partition that may be closed and not settled before the next waits to be due. */
const underWayMax = 2
const appendPauses: BackOff = { firstMs: 50, factor: 2, maxMs: 5_000, jitter: 0 }

/** One partition of a `Batcher`. */
export class PartitionBatcher {
  readonly index: number
  readonly #batcher: WholeBatcher
  readonly #closed: ClosedBatch[] = []
  #open: OpenBatch | undefined
  #openCapacityBytes = 0
  #openSpreadOver = 0
  #due = false
  #sequence = 0
  /** Of the last record that the log confirmed. */
  #lastOffset = -1
  #expectedBytes = 0
  #appending = false
  #idleWaiters: (() => void)[] = []

  constructor(batcher: WholeBatcher, index: number) {
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
    if (batch === undefined || !batch.reserve(frame, bodyEnd - bodyStart))
      batch = this.#next(frame, bodyEnd - bodyStart)
    batch.write(frame, this.#batcher.time, source, bodyStart, bodyEnd)
    batch.enqueuedAtMsLast = this.#batcher.nowMs
    if (owner !== undefined) batch.owe(owner)
    if (batch.bytes.length !== this.#openCapacityBytes) this.#grown(batch)
  }

  /** Closes the open batch, whatever its age. */
  close(together = new ClosedTogether()): void {
    const batch = this.#open
    if (batch === undefined) return
    assert(batch.messageCount > 0, 'a batch that is closed holds a message')
    // Bytes beyond the end of a buffer are dropped without an error.
    assert(batch.length <= batch.bytes.length, 'the envelopes of a batch lie in its buffer [G-1]')
    this.#open = undefined
    this.#due = false
    this.#expectedBytes = batch.length
    const closed: ClosedBatch = {
      batch,
      capacityBytes: this.#openCapacityBytes,
      spreadOver: this.#openSpreadOver,
      value: undefined,
    }
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

  /** Batches of it that are closed, but not settled. */
  get unsettled(): number {
    return this.#closed.length
  }

  /** Whether nothing of it is open or under way. */
  get isIdle(): boolean {
    return this.#open === undefined && this.#closed.length === 0
  }

  /** Resolves when nothing of this partition is open or under way. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  /** Another open batch, which has room for an envelope with this body. @throws as `write` */
  #next(frame: EnvelopeFrame, bodyBytes: number): OpenBatch {
    // Before a batch is begun for it: one without messages must not reach the log.
    if (!fitsBlock(frame, bodyBytes))
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', `an envelope must fit ${limits.blockBytesMax} bytes`)
    this.close()
    const batch = this.#begin()
    assert(batch.reserve(frame, bodyBytes), 'an empty batch has room for what fits a block')
    return batch
  }

  #begin(): OpenBatch {
    assert(this.#open === undefined, 'a partition has one open batch')
    const { buffers, day, nowMs, spreadOver } = this.#batcher
    this.#openSpreadOver = spreadOver
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
    const { bytes, length } = closed.batch
    this.#batcher.compressor.compress(bytes.subarray(0, length), (compressed) => {
      assert(closed.value === undefined, 'a block is compressed once')
      closed.value = batchValue(closed.batch, compressed)
      this.#batcher.buffers.give(bytes)
      together.compressed()
    })
  }

  /** Appends what is compressed, unless that is under way. */
  async appendInOrder(): Promise<void> {
    if (this.#appending) return
    this.#appending = true
    for (let next = this.#appendable(); next.length > 0; next = this.#appendable()) {
      const refusal = await this.#append(next)
      const durable = refusal === undefined
      const settled = this.#closed.splice(0, next.length)
      const isFront =
        settled.length === next.length && settled.every(({ batch }, index) => batch === next[index]?.batch)
      assert(isFront, 'what was appended is what waits at the front')
      for (const { batch, capacityBytes } of next) {
        if (durable) this.#batcher.observeAppended(batch)
        this.#settle(batch, refusal)
        if (durable) this.#batcher.observeSettled(batch)
        this.#batcher.release(capacityBytes)
      }
      this.#batcher.settledOf(next[0]?.spreadOver ?? 0, next.length)
      this.#closeIfDue()
    }
    this.#appending = false
    this.#batcher.settled()
    if (this.isIdle) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve()
    }
  }

  /**
   * What may share the next record. An owner is told of its oldest messages: after devices were spread anew, those that it has in another
   * partition are settled first.
   */
  #appendable(): CompressedBatch[] {
    const next = joinable(this.#closed)
    const { spreadOver, earlierUnsettled } = this.#batcher
    return earlierUnsettled > 0 && next[0]?.spreadOver === spreadOver ? [] : next
  }

  /**
   * Undefined once the log confirmed the batches; else why it will not, or why that was too late: some of their devices belong to another
   * partition now. Failures that may pass are retried with the same bytes.
   */
  async #append(joined: readonly CompressedBatch[]): Promise<PenstockError | undefined> {
    const { options, appendedTotal, appendedBytesTotal, failuresTotal } = this.#batcher
    const { value, stamp: content } = recordOf(joined)
    const spreadOver = joined[0]?.spreadOver ?? 0
    const stamp: BatchStamp = { ...content, edgeId: options.edgeId, epoch: options.epoch, sequence: this.#sequence++ }
    const failed = { partition: this.index, messages: stamp.messageCount }
    const append = async (): Promise<number> => {
      if (spreadOver !== this.#batcher.spreadOver) throw batchLate()
      return await options.log.append(this.index, stamp, value)
    }
    try {
      const offset = await retry(append, {
        backOff: appendPauses,
        clock: options.clock,
        isRetryable: (error) => isTransient(error) && !this.#batcher.closing && spreadOver === this.#batcher.spreadOver,
        onRetry: (error, { pauseMs }) => {
          failuresTotal.add(1)
          options.logger.warn('append failed, will be repeated', { ...failed, pauseMs, error })
        },
      })
      this.#checkOffset(offset)
      if (!(await this.#isInTime(offset, spreadOver))) throw batchLate()
      appendedTotal.add(1)
      appendedBytesTotal.add(value.length)
      options.onAppended?.({ partition: this.index, offset, stamp, bytes: value.length })
      return undefined
    } catch (error) {
      failuresTotal.add(1)
      options.logger.error('append failed for good; its messages stay unacknowledged', { ...failed, error })
      return refusalOf(error, this.#batcher.closing, isOfOne(joined))
    }
  }

  /** Whether what the log confirmed lies where readers look for it in the order of its devices. */
  #isInTime(offset: number, spreadOver: number): boolean | Promise<boolean> {
    const { spread } = this.#batcher.options
    if (spread === undefined || (spread.count === spreadOver && spread.isCertain())) return true
    return spread.counts(this.index, offset, spreadOver, () => this.#batcher.closing)
  }

  /**
   * An answer without a place on the log, or not behind what it confirmed before, is no confirmation [G-1] [G-3]. A log that is made anew
   * begins at 0 again: it is refused once, not until its offsets have grown as far as those of the log before.
   */
  #checkOffset(offset: number): void {
    assert(isCount(offset), 'the log tells at which offset a record lies')
    const before = this.#lastOffset
    this.#lastOffset = offset
    assert(offset > before, `offsets of a partition grow, and ${offset} is not behind ${before}`)
  }

  #settle(batch: OpenBatch, refusal: PenstockError | undefined): void {
    let owed = 0
    for (let i = 0; i < batch.owners.length; i++) {
      const owner = batch.owners[i] as BatchOwner
      const count = batch.ownerCounts[i] as number
      owed += count
      if (owner.batch === batch) owner.batch = undefined
      if (refusal === undefined) {
        owner.settled(count)
        this.#batcher.acknowledged(count)
      } else owner.refused(count, refusal)
    }
    assert(owed <= batch.messageCount, 'no batch owes more messages than it holds')
    if (refusal !== undefined) this.#batcher.droppedTotal.add(batch.messageCount - owed)
  }
}

function batchLate(): PenstockError {
  return new PenstockError('LOG_APPEND_LATE', 'the partitions of the log grew before it confirmed the batch')
}

/**
 * What owners of messages learn: whether sending them again can help. What was refused for good in company may be taken in another.
 * @param isOfOne all messages are of one owner
 */
function refusalOf(error: unknown, isClosing: boolean, isOfOne: boolean): PenstockError {
  const isForGood = isPenstockError(error) && error.disposition === 'reject'
  if (isForGood && isOfOne)
    return new PenstockError('INGEST_MESSAGE_REFUSED', 'the log refused a batch; its messages were not stored')
  if (isForGood) return new PenstockError('LOG_UNAVAILABLE', 'the log refused a batch of messages of several senders')
  return new PenstockError(isClosing ? 'INGEST_DRAINING' : 'LOG_UNAVAILABLE', 'the log did not confirm a batch')
}

function isOfOne(joined: readonly CompressedBatch[]): boolean {
  const [{ batch } = {}] = joined
  return joined.length === 1 && batch?.ownerCounts[0] === batch?.messageCount
}
