import { Circuit } from '#pipeline/endpoints/circuit.ts'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import { untilEarlierDelivered } from '#pipeline/log/growth/earlier-delivered.ts'
import type { Assignment, Log, PartitionRange } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, sleep, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { Permits } from '#runtime/permits.ts'
import { deadLetterReasons } from '#schemas/dead-letter.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { ProtocolStep } from './delivery.ts'
import { Lag } from './lag.ts'
import { runPartition } from './partition-task.ts'
import type { StartRule } from './position-search.ts'
import type { ReadRecord } from './range-reader.ts'
import { everything, type RangeSelector } from './range-selector.ts'
import { type Standstill, Standstills } from './standstills.ts'
import type { DeadLetterBox } from './undeliverable.ts'

export interface WorkerOptions {
  readonly log: Log
  /** Of that log; left out: it never grows. */
  readonly spread?: DeviceSpread | undefined
  /** Workers of one group share the partitions. Each destination has a group of its own, so that none waits for another. */
  readonly group: string
  readonly destination: TableSink | Endpoint
  /** What of the log the destination gets; left out: everything. */
  readonly selector?: RangeSelector
  /** Where delivery begins in a partition for which nothing says how far it is; left out: at the oldest batch. */
  readonly start?: StartRule
  /**
   * Name that dead letters carry, so that they are replayed to this destination only; left out: a letter of a table is replayed to the log,
   * and so to everybody, and that of an endpoint carries its name.
   */
  readonly letterEndpoint?: string
  /** Shared by all partitions, and asked for health by whoever shows it; left out: an endpoint has one all the same, a table none. */
  readonly circuit?: Circuit
  readonly deadLetters: DeadLetterBox
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
  /** Told of records that were stored; left out: nobody wants to know. */
  readonly onStored?: ((partition: number, records: readonly ReadRecord[]) => void) | undefined
  /** Most messages of one range; left out: what the destination says. One batch always goes, however large. */
  readonly rangeMessagesMax?: number
  /** Longest time that batches are gathered before they are inserted. */
  readonly insertDelayMs: number
  readonly clock?: Clock
  /** From 0 (inclusive) to 1; spreads retries. */
  readonly random?: () => number
  /** See `limits.insertBeginMsMax`. */
  readonly insertBeginMsMax?: number | undefined
  /** For the simulation only, which must find what follows. */
  readonly skipSteps?: ReadonlySet<ProtocolStep>
}

export interface Worker {
  /** Resolves after `close`; rejects with a fault that no retry can heal, after which the process should end. */
  readonly finished: Promise<void>
  /** Partitions of this worker whose delivery stands still. */
  standstills(): readonly Standstill[]
  /** Whether this partition is this worker's, and under way. */
  delivers(partition: number): boolean
  /** Lets inserts under way end, writes positions down and leaves the group. */
  close(): Promise<void>
}

const reportDelayMs = 5_000

/**
 * Joins `group` and delivers every partition it is given: exactly once to a table, at least once to an endpoint. Uses neither log nor
 * destination after `close`, and closes neither.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { log, logger } = options
  beginSeries(options)
  const stop = new AbortController()
  const shared = sharedBy(options)
  const { clock } = shared
  const tasks = new Set<Promise<void>>()
  const offsets = new Map<number, number>()
  const standstills = new Standstills(clock, logger, options.metrics)
  let finish: { resolve: () => void; reject: (error: unknown) => void } = { resolve() {}, reject() {} }
  const finished = new Promise<void>((resolve, reject) => {
    finish = { resolve, reject }
  })

  const onAssigned = (assignment: Assignment) => {
    const { partition } = assignment
    assert(partition < log.partitionCount, `the log assigns one of its partitions, not ${partition}`)
    const ended = AbortSignal.any([assignment.revoked, stop.signal])
    const task = runPartition({
      ...shared,
      readBytesMax: readBytesMaxOf(log.partitionCount),
      assignment,
      ended,
      untilBegun: () => untilBegun(options, partition, clock, ended),
      range: () => keptRange(log, partition),
      onOffset: (offset) => {
        offsets.set(partition, offset)
        standstills.moved(partition)
      },
      onWait: (error) => standstills.waits(partition, error),
    })
      .catch((error: unknown) => {
        logger.error('a partition cannot be delivered', { partition, error })
        finish.reject(error)
      })
      .finally(() => {
        tasks.delete(task)
        standstills.moved(partition)
        if (assignment.revoked.aborted) offsets.delete(partition)
      })
    tasks.add(task)
  }
  const member = await log.join(options.group, onAssigned)
  const reporting = reportRegularly(options, clock, offsets, standstills, stop.signal)

  const close = async () => {
    stop.abort()
    await Promise.all(tasks)
    await member.close()
    await reporting
    finish.resolve()
  }
  let closing: Promise<void> | undefined
  return {
    finished,
    standstills: () => standstills.list(),
    delivers: (partition) => offsets.has(partition),
    close: () => (closing ??= close()),
  }
}

async function untilBegun(
  { log, spread, group }: WorkerOptions,
  partition: number,
  clock: Clock,
  ended: AbortSignal,
): Promise<void> {
  if (spread) await untilEarlierDelivered({ log, spread, group, partition, clock, ended })
}

async function keptRange(log: Log, partition: number): Promise<PartitionRange> {
  const found = (await log.ranges())[partition]
  // Where the log begins decides what counts as lost, so it is not guessed.
  assert(found && found.first <= found.next, `the log says what it keeps of partition ${partition}`)
  return found
}

/** What the tasks of all partitions have in common. */
function sharedBy(options: WorkerOptions) {
  const { log, destination, clock = systemClock, random = Math.random } = options
  const { name, atomic } = destination
  const requestsAtOnceMax = destination.atomic ? limits.workerInsertsAtOnceMax : destination.requestsAtOnceMax
  return {
    ...options,
    insertDelayMs: (destination.atomic ? destination.gatherMsMax : undefined) ?? options.insertDelayMs,
    topic: log.topic,
    logId: () => log.id(),
    clock,
    random,
    selector: options.selector ?? everything,
    start: options.start,
    letterEndpoint: options.letterEndpoint,
    permits: new Permits(requestsAtOnceMax),
    circuit: options.circuit ?? (atomic ? undefined : new Circuit({ name, clock, random })),
    insertBeginMsMax: options.insertBeginMsMax ?? limits.insertBeginMsMax,
    skipSteps: options.skipSteps ?? new Set<ProtocolStep>(),
  }
}

/** An alert on a counter's increase misses the first one if that makes the series. docs/alerts.yml */
function beginSeries({ metrics, destination }: WorkerOptions): void {
  for (const reason of deadLetterReasons) metrics.series('penstock_worker_dead_letters_total', { reason })
  metrics.series('penstock_worker_rows_stored_total', { sink: destination.name })
  metrics.series('penstock_log_positions_lost_total')
}

/** Each partition's share of what the worker may read ahead, so that many partitions can't add up to too much. */
function readBytesMaxOf(partitionCount: number): number {
  const share = Math.floor(limits.workerReadBytesMax / partitionCount)
  return Math.max(limits.recordBytesMax, Math.min(limits.readBytesMax, share))
}

async function reportRegularly(
  { log, metrics, logger }: WorkerOptions,
  clock: Clock,
  offsets: ReadonlyMap<number, number>,
  standstills: Standstills,
  stopped: AbortSignal,
): Promise<void> {
  const lag = new Lag(log, metrics, clock)
  while (!stopped.aborted) {
    standstills.report()
    try {
      await lag.report(offsets)
    } catch (error) {
      if (!isPenstockError(error)) throw error
      logger.debug('lag not known', { error })
    }
    await sleep(clock, reportDelayMs, stopped)
  }
}
