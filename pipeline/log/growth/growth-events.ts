/**
 * The journal of a log's growth: a log of one partition beside it, in which each record is one event as JSON. Its order decides, so whoever
 * reads as far sees the same, whatever was written at once.
 *
 *   planned ──(partitions are added, nobody uses them)──▶ held ──(devices wait; then the cuts)──▶ grown
 *                                                          └──(an edge, or the command itself)──▶ abandoned
 *
 * Of `grown` and `abandoned` the first one that names the open hold counts. A hold of a command that was overtaken, and so would not add
 * partitions to a multiple of what there is now, is none. Events of a log that was made anew since are of no account.
 */
import { assert } from '#runtime/assert.ts'
import { aCount, aText, listOf, oneOf, recordOf, variantsOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'

interface EventOfLog {
  /** `Log.id` of the log that grows. */
  readonly logId: string
  /** Who wrote it, for people. */
  readonly by: string
}

/** Partitions are about to be added. Until they are used, devices are spread over `from` of them. */
export interface PlannedEvent extends EventOfLog {
  readonly kind: 'planned'
  readonly from: number
  readonly to: number
}

/** Devices wait from now on. Its offset is the number of the hold. */
export interface HeldEvent extends EventOfLog {
  readonly kind: 'held'
  readonly to: number
}

export interface AbandonedEvent extends EventOfLog {
  readonly kind: 'abandoned'
  readonly hold: number
  readonly why: string
}

/** From now on devices are spread over as many partitions as the hold says. */
export interface GrownEvent extends EventOfLog {
  readonly kind: 'grown'
  readonly hold: number
  /** By partition that there was before, the offset behind all that counts of it under the old number. */
  readonly cuts: readonly number[]
}

export type GrowthEvent = PlannedEvent | HeldEvent | AbandonedEvent | GrownEvent

const ofLog = { logId: aText, by: aText }

const eventCheck = variantsOf<'kind', GrowthEvent>('kind', {
  planned: recordOf<PlannedEvent>({ kind: oneOf('planned'), ...ofLog, from: aCount, to: aCount }),
  held: recordOf<HeldEvent>({ kind: oneOf('held'), ...ofLog, to: aCount }),
  abandoned: recordOf<AbandonedEvent>({ kind: oneOf('abandoned'), ...ofLog, hold: aCount, why: aText }),
  grown: recordOf<GrownEvent>({ kind: oneOf('grown'), ...ofLog, hold: aCount, cuts: listOf(aCount) }),
})

export function bytesFromGrowthEvent(event: GrowthEvent): Uint8Array {
  return Buffer.from(JSON.stringify(event))
}

/** @throws LOG_DATA_UNREADABLE: who cannot read it must not guess where devices belong */
export function growthEventFrom(bytes: Uint8Array): GrowthEvent {
  try {
    return eventCheck(JSON.parse(Buffer.from(bytes).toString()))
  } catch (cause) {
    throw new PenstockError('LOG_DATA_UNREADABLE', `a record of how the log has grown ${String(cause)}`, { cause })
  }
}

/** One change of the number of partitions that devices are spread over. */
export interface Growth {
  readonly from: number
  /** A multiple of `from`. */
  readonly to: number
  readonly cuts: readonly number[]
}

/** A growth for which devices wait. */
export interface Hold {
  readonly number: number
  readonly to: number
  readonly by: string
}

/** What all events so far come to. */
export interface GrowthState {
  /** Partitions that devices are spread over; `undefined`: all that the log has, for it never grew. */
  readonly count: number | undefined
  readonly growths: readonly Growth[]
  readonly hold: Hold | undefined
  /** The last hold that was given up. */
  readonly abandoned: AbandonedEvent | undefined
}

export const nothingGrown: GrowthState = { count: undefined, growths: [], hold: undefined, abandoned: undefined }

/** @param offset of the event in the journal */
export function afterEvent(state: GrowthState, event: GrowthEvent, offset: number): GrowthState {
  const { count, hold, growths } = state
  switch (event.kind) {
    case 'planned':
      return { ...state, count: count ?? event.from }
    case 'held':
      if (hold !== undefined || count === undefined || event.to <= count || event.to % count !== 0) return state
      return { ...state, hold: { number: offset, to: event.to, by: event.by } }
    case 'abandoned':
      return hold?.number === event.hold ? { ...state, hold: undefined, abandoned: event } : state
    case 'grown': {
      if (hold?.number !== event.hold || count === undefined) return state
      assert(event.cuts.length === count, `each of ${count} partitions is cut, and not ${event.cuts.length} of them`)
      const growth = { from: count, to: hold.to, cuts: event.cuts }
      return { ...state, count: hold.to, hold: undefined, growths: [...growths, growth] }
    }
  }
}
