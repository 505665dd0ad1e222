/**
 * Closed minutes and hours of numeric fields.
 *
 *   parts that are new ──▶ their minutes' rows, counted ──▶ minutes that have other counts than when they were computed
 *                                                             │ computed from their rows, then noted with that count
 *   counts of minutes, by hour ──▶ hours whose sum is another ◀┘
 *                                    │ computed from their minutes, then noted
 *
 * A count is taken before what is computed of the rows, so what is noted is never more than what was computed. Whoever stops half-way leaves a
 * minute that is not noted, and it is computed again. A minute that has more rows counts for more (`rows` is its version), so one that
 * is computed again of fewer rows, since some have expired, changes nothing.
 */
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { Computed, rowCountsOf, stale } from './computed.ts'
import type { PartLook, TablePartition } from './part-watch.ts'
import { clipped, day, floored, hour, minute, type Range, type RowCounts, type Run, runsOf } from './periods.ts'
import {
  definitionOf,
  forgetStatements,
  hoursStatement,
  minuteCountsQuery,
  minutesStatement,
  type RollUpModel,
} from './roll-up-sql.ts'

/** Days after which rows, minutes and hours are removed; 0: never. */
export interface RollUpRetention {
  readonly rowDays: number
  readonly minuteDays: number
  readonly hourDays: number
}

/** Periods that have ended, and of which nothing has expired yet. */
interface Reach {
  readonly minutes: Range
  readonly hours: Range
}

/** Up to where everything is computed but for what new parts tell of. */
interface Done {
  readonly definition: string
  readonly minutes: number
  readonly hours: number
}

export class RollUps {
  readonly #warehouse: Warehouse
  readonly #retention: RollUpRetention
  readonly #logger: Logger
  /** By model. Of those that are missing nothing is known but what is noted. */
  #done = new Map<string, Done>()

  constructor(warehouse: Warehouse, retention: RollUpRetention, logger: Logger) {
    this.#warehouse = warehouse
    this.#retention = retention
    this.#logger = logger
  }

  /**
   * Computes what is due after a look at the parts. A model that ClickHouse refuses is named, and left for the next time.
   * @returns how many minutes and hours, of all models
   * @throws WAREHOUSE_UNAVAILABLE; what was done until then stays done
   */
  async compute(models: readonly RollUpModel[], look: PartLook, signal: AbortSignal): Promise<number> {
    const reach = reachOf(look.nowMs / 1_000, this.#retention)
    const before = this.#done
    this.#done = new Map()
    let count = 0
    for (const model of models) {
      const definition = definitionOf(model)
      const computed = new Computed(this.#warehouse, model.model, definition)
      const known = before.get(model.model)
      const done = known?.definition === definition ? known : undefined
      try {
        count += await this.#computeModel(model, computed, done, look, reach, signal)
      } catch (error) {
        if (!isPenstockError(error, 'WAREHOUSE_REFUSED')) throw error
        this.#logger.warn('minutes of a model cannot be computed', { model: model.model, error })
        continue
      }
      if (signal.aborted) return count
      this.#done.set(model.model, { definition, minutes: reach.minutes.to, hours: reach.hours.to })
    }
    return count
  }

  async #computeModel(
    model: RollUpModel,
    computed: Computed,
    done: Done | undefined,
    look: PartLook,
    reach: Reach,
    signal: AbortSignal,
  ): Promise<number> {
    if (done === undefined) await this.#forgetOthers(model.model, computed, look.partitions, reach)
    const news = done ? newRanges(look.partitions, done.minutes) : await unnoted(computed, look.partitions, reach)
    const minutes = clipped(news, reach.minutes)
    let count = 0
    for (const range of minutes) {
      const found = await this.#minuteCounts(range)
      const runs = await dueRuns(found, minute, range, computed)
      count += await this.#run(runs, minute, computed, (from, to) => minutesStatement(model, from, to), signal)
    }
    const since = { from: done?.hours ?? reach.hours.from, to: reach.hours.to }
    for (const range of clipped([...hoursAround(minutes), since], reach.hours)) {
      const found = await computed.sums(minute, hour, range)
      const runs = await dueRuns(found, hour, range, computed)
      count += await this.#run(runs, hour, computed, (from, to) => hoursStatement(model, from, to), signal)
    }
    return count
  }

  /**
   * Of a model that says something else now what was computed of rows that are there goes: it may be of fewer rows or fields, and where it is
   * not computed again it would stay.
   */
  async #forgetOthers(
    model: string,
    computed: Computed,
    partitions: readonly TablePartition[],
    reach: Reach,
  ): Promise<void> {
    if (!(await computed.hasOthers(minute, reach.minutes))) return
    const minutes: Range[] = []
    for (const range of clipped(
      partitions.map(({ fromMs, toMs }) => rangeOf(fromMs, toMs)),
      reach.minutes,
    ))
      if (await computed.hasOthers(minute, range)) minutes.push(range)
    for (const statement of forgetStatements(model, minutes, clipped(hoursAround(minutes), reach.hours)))
      await this.#warehouse.command(statement)
  }

  /** Computes these periods, and notes them when they are stored. @returns how many */
  async #run(
    runs: readonly Run[],
    seconds: number,
    computed: Computed,
    statement: (from: number, to: number) => string,
    signal: AbortSignal,
  ): Promise<number> {
    let count = 0
    for (const { from, to, counts } of runs) {
      if (signal.aborted) break
      await this.#warehouse.command(statement(from, to))
      await computed.note(seconds, counts)
      count += counts.length
    }
    return count
  }

  async #minuteCounts({ from, to }: Range): Promise<RowCounts> {
    return rowCountsOf(await this.#warehouse.query(minuteCountsQuery(from, to)))
  }
}

async function dueRuns(found: RowCounts, seconds: number, range: Range, computed: Computed): Promise<Run[]> {
  const due = stale(found, await computed.counts(seconds, range))
  return runsOf(found, due, seconds, { rowsMax: limits.rollUpRowsAtOnceMax, gapRowsMax: limits.rollUpGapRowsMax })
}

/** Where rows came since, and what had not ended. */
function newRanges(partitions: readonly TablePartition[], doneTo: number): Range[] {
  const ranges = partitions.flatMap(({ newFromMs, toMs }) =>
    newFromMs === undefined ? [] : [rangeOf(newFromMs, toMs)],
  )
  return [...ranges, { from: doneTo, to: Number.POSITIVE_INFINITY }]
}

/** Partitions that have other rows than those of which minutes are noted, and the one of which rows expire. */
async function unnoted(
  computed: Computed,
  partitions: readonly TablePartition[],
  { minutes }: Reach,
): Promise<Range[]> {
  const byDay = await computed.sums(minute, day, { from: floored(minutes.from, day), to: minutes.to })
  const notedIn = ({ from, to }: Range): number =>
    [...byDay].reduce((sum, [start, rows]) => (start >= floored(from, day) && start < to ? sum + rows : sum), 0)
  return partitions
    .map(({ rows, fromMs, toMs }) => ({ rows, range: rangeOf(fromMs, toMs) }))
    .filter(({ rows, range }) => range.from < minutes.from || notedIn(range) !== rows)
    .map(({ range }) => range)
}

function hoursAround(minutes: readonly Range[]): Range[] {
  return minutes.map(({ from, to }) => ({ from: floored(from, hour), to: floored(to - 1, hour) + hour }))
}

function rangeOf(fromMs: number, toMs: number): Range {
  return { from: floored(fromMs / 1_000, minute), to: floored(toMs / 1_000, minute) + minute }
}

/** @param now seconds since 1970, of ClickHouse */
function reachOf(now: number, { rowDays, minuteDays, hourDays }: RollUpRetention): Reach {
  const ended = now - limits.rollUpEndedSeconds
  const keptSince = (...days: readonly number[]): number =>
    Math.max(0, ...days.filter((count) => count > 0).map((count) => now - count * day + limits.rollUpExpirySeconds))
  return {
    minutes: { from: floored(keptSince(rowDays, minuteDays) + minute - 1, minute), to: floored(ended, minute) },
    hours: { from: floored(keptSince(minuteDays, hourDays) + hour - 1, hour), to: floored(ended, hour) },
  }
}
