/**
 * Compares what the devices' ledgers say with what the warehouse holds.
 *
 *   summaries of all devices (one query) ── as expected ──────────────────────────▶ clean
 *                                        └─ otherwise ─▶ stored ranges + repeats of that device ─▶ lost, repeated, foreign
 *   order (one query; again without re-sent numbers for devices that re-sent) ─────▶ out of order
 *
 * The summary is exact: `distinct` counts a set, so "0 … n−1 and n distinct" means that each number is there.
 */
import { PenstockError } from '#schemas/errors.ts'
import { countOfRanges, type DeviceLedger, type SequenceRange, subtractRanges, unionOfRanges } from './ledger.ts'

export interface DeviceSummary {
  readonly rows: number
  readonly distinct: number
  readonly first: number
  readonly last: number
  /** Distinct log partitions; more than one breaks the order by (log_partition, log_offset) [G-3]. */
  readonly partitions: number
}

/** Where stored rows are asked for: ClickHouse, or a list of rows in the checker's own tests. */
export interface RowSource {
  rowCount(runPrefix: string): Promise<number>
  summaries(runPrefix: string): Promise<ReadonlyMap<string, DeviceSummary>>
  /** Stored sequence numbers of a device as sorted disjoint ranges. */
  storedRanges(deviceId: string): Promise<readonly SequenceRange[]>
  /** Sequence numbers stored more than once. */
  repeats(deviceId: string): Promise<readonly { readonly sequence: number; readonly rows: number }[]>
  /** Devices of which a later log offset holds a number not above all numbers of earlier offsets: how many such offsets. */
  disorders(runPrefix: string): Promise<ReadonlyMap<string, number>>
  /** The same for one device, without looking at the numbers in `except`. */
  disordersOf(deviceId: string, except: readonly SequenceRange[]): Promise<number>
}

export interface DeviceFault {
  readonly deviceId: string
  readonly lost: readonly SequenceRange[]
  /** Rows beyond what the device itself sent. */
  readonly repeated: number
  /** Numbers that were never sent. */
  readonly foreign: readonly SequenceRange[]
  readonly outOfOrder: number
}

export interface Reconciliation {
  readonly devices: number
  readonly sent: number
  readonly acknowledged: number
  readonly refused: number
  /** Messages that devices sent again after a lost connection. */
  readonly resent: number
  readonly rows: number
  /** Distinct messages stored. */
  readonly stored: number
  /** Sent, never acknowledged and not stored: all QoS 0 drops, and what was in flight at the end. */
  readonly unacknowledgedMissing: number
  readonly lost: number
  readonly repeated: number
  readonly foreign: number
  readonly outOfOrder: number
  readonly isClean: boolean
  /** The first devices with a fault. */
  readonly faults: readonly DeviceFault[]
}

const faultsShownMax = 20

/** One look at the warehouse. Costs two queries over the run's rows, and up to three for each suspicious device. */
export async function reconcile(
  ledgers: readonly DeviceLedger[],
  source: RowSource,
  runPrefix: string,
): Promise<Reconciliation> {
  const summaries = await source.summaries(runPrefix)
  const disorders = await source.disorders(runPrefix)
  const total = { sent: 0, acknowledged: 0, refused: 0, resent: 0, rows: 0, stored: 0, unacknowledgedMissing: 0 }
  const fault = { lost: 0, repeated: 0, foreign: 0, outOfOrder: 0 }
  const faults: DeviceFault[] = []
  for (const ledger of ledgers) {
    const summary = summaries.get(ledger.deviceId) ?? nothingStored
    total.sent += ledger.sent
    total.acknowledged += countOfRanges(ledger.acknowledged)
    total.refused += countOfRanges(ledger.refused)
    total.resent += countOfRanges(ledger.resent)
    total.rows += summary.rows
    total.stored += summary.distinct
    const seen = isAsSent(ledger, summary)
      ? { lost: [], foreign: [], repeated: 0, unacknowledgedMissing: 0 }
      : await inspect(ledger, source)
    total.unacknowledgedMissing += seen.unacknowledgedMissing
    let outOfOrder = Math.max(0, summary.partitions - 1)
    if (ledger.resent.length === 0) outOfOrder += disorders.get(ledger.deviceId) ?? 0
    else if (disorders.has(ledger.deviceId))
      outOfOrder += await source.disordersOf(ledger.deviceId, unionOfRanges(ledger.resent))
    if (seen.lost.length + seen.foreign.length + seen.repeated + outOfOrder === 0) continue
    fault.lost += countOfRanges(seen.lost)
    fault.foreign += countOfRanges(seen.foreign)
    fault.repeated += seen.repeated
    fault.outOfOrder += outOfOrder
    if (faults.length < faultsShownMax)
      faults.push({
        deviceId: ledger.deviceId,
        lost: seen.lost,
        repeated: seen.repeated,
        foreign: seen.foreign,
        outOfOrder,
      })
  }
  fault.foreign += rowsOfStrangers(ledgers, summaries)
  const isClean = fault.lost + fault.repeated + fault.foreign + fault.outOfOrder === 0
  return { devices: ledgers.length, ...total, ...fault, isClean, faults }
}

export interface ReconcileWait {
  /** Give up waiting when no new row was seen for so long. */
  readonly quietMsMax: number
  readonly pollMs: number
  /** When all is as it should be, look again after so long: a row stored twice may come late. */
  readonly confirmMs: number
  readonly nowMs: () => number
  readonly sleep: (ms: number) => Promise<void>
  /** Called after each look at the row count. */
  readonly onRows?: (rows: number) => void
}

/**
 * Waits until all acknowledged messages have arrived, then reconciles. Returns early when all is as it should be; returns
 * with the faults once no row has come for `quietMsMax`. A warehouse that doesn't answer meanwhile counts as "no new row".
 * @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED if the last look of all fails
 */
export async function reconcileWhenSettled(
  ledgers: readonly DeviceLedger[],
  source: RowSource,
  runPrefix: string,
  wait: ReconcileWait,
): Promise<Reconciliation> {
  const expected = ledgers.reduce((sum, { acknowledged }) => sum + countOfRanges(acknowledged), 0)
  const completeResult = async () => {
    const result = await reconcile(ledgers, source, runPrefix).catch(() => undefined)
    return result?.isClean === true && result.unacknowledgedMissing === 0 ? result : undefined
  }
  let rowsBefore = -1
  let newsAtMs = wait.nowMs()
  for (;;) {
    const lookedAtMs = wait.nowMs()
    const rows = await source.rowCount(runPrefix).catch(() => rowsBefore)
    wait.onRows?.(Math.max(0, rows))
    const isNews = rows > rowsBefore
    if (isNews) newsAtMs = wait.nowMs()
    rowsBefore = Math.max(rows, rowsBefore)
    if (wait.nowMs() - newsAtMs >= wait.quietMsMax) return reconcile(ledgers, source, runPrefix)
    if (rows >= expected && isNews && (await completeResult())) {
      await wait.sleep(wait.confirmMs)
      return (await completeResult()) ?? reconcile(ledgers, source, runPrefix)
    }
    // Looking costs the warehouse something; at most a quarter of its time.
    await wait.sleep(Math.max(wait.pollMs, 3 * (wait.nowMs() - lookedAtMs)))
  }
}

/** For callers that want faults thrown. @throws LOADTEST_LOST, LOADTEST_REPEATED, LOADTEST_OUT_OF_ORDER */
export function assertClean(result: Reconciliation): void {
  if (result.isClean) return
  const code =
    result.lost > 0
      ? 'LOADTEST_LOST'
      : result.repeated + result.foreign > 0
        ? 'LOADTEST_REPEATED'
        : 'LOADTEST_OUT_OF_ORDER'
  const { lost, repeated, foreign, outOfOrder } = result
  throw new PenstockError(code, `lost ${lost}, repeated ${repeated}, never sent ${foreign}, out of order ${outOfOrder}`)
}

const nothingStored: DeviceSummary = { rows: 0, distinct: 0, first: 0, last: -1, partitions: 0 }

function isAsSent({ sent }: DeviceLedger, { rows, distinct, first, last }: DeviceSummary): boolean {
  return rows === sent && distinct === sent && (sent === 0 || (first === 0 && last === sent - 1))
}

interface Inspection {
  readonly lost: readonly SequenceRange[]
  readonly foreign: readonly SequenceRange[]
  readonly repeated: number
  readonly unacknowledgedMissing: number
}

async function inspect(ledger: DeviceLedger, source: RowSource): Promise<Inspection> {
  const stored = await source.storedRanges(ledger.deviceId)
  const all = [{ from: 0, to: ledger.sent }]
  const unacknowledged = subtractRanges(subtractRanges(all, ledger.acknowledged), ledger.refused)
  let repeated = 0
  for (const { sequence, rows } of await source.repeats(ledger.deviceId))
    repeated += Math.max(0, rows - timesSent(ledger, sequence))
  return {
    lost: subtractRanges(ledger.acknowledged, stored),
    foreign: subtractRanges(stored, all),
    repeated,
    unacknowledgedMissing: countOfRanges(subtractRanges(unacknowledged, stored)),
  }
}

function timesSent(ledger: DeviceLedger, sequence: number): number {
  let times = 1
  for (const { from, to } of ledger.resent) if (sequence >= from && sequence < to) times++
  return times
}

function rowsOfStrangers(ledgers: readonly DeviceLedger[], summaries: ReadonlyMap<string, DeviceSummary>): number {
  const known = new Set(ledgers.map(({ deviceId }) => deviceId))
  let rows = 0
  for (const [deviceId, summary] of summaries) if (!known.has(deviceId)) rows += summary.rows
  return rows
}
