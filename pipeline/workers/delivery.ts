/** What both ways of delivering a range share: `deliver-range.ts` and `deliver-requests.ts`. */
import type { Circuit } from '#pipeline/endpoints/circuit.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Permits } from '#runtime/permits.ts'
import type { PenstockError } from '#schemas/errors.ts'

/** Steps of the protocol that a test may leave out, to see that its checker finds what follows. Never in production. */
export type ProtocolStep =
  | 'intent'
  | 'token'
  | 'expiry'
  | 'ask-before'
  | 'ask-after'
  | 'ask-refused'
  | 'refused-token'
  | 'verdict-token'
  | 'bury'
  | 'repeats'
  | 'verdict'
  | 'parts-before'
  | 'search'
  | 'search-wait'
  | 'request-ids'
  | 'revision'
  | 'retry'
  | 'letters'

export interface DeliveryOptions {
  /** Bounds attempts at the destination over all partitions. */
  readonly permits: Permits
  /** What is known of the destination over all partitions; without one each partition tries for itself. */
  readonly circuit: Circuit | undefined
  readonly clock: Clock
  /** From 0 (inclusive) to 1; spreads retries. */
  readonly random: () => number
  readonly logger: Logger
  readonly insertBeginMsMax: number
  /** Aborted when the assignment ends. */
  readonly ended: AbortSignal
  readonly skipSteps: ReadonlySet<ProtocolStep>
  /** Told of each failure of a step that will be repeated, for as long as it fails. */
  readonly onWait: (error: PenstockError) => void
  /** Called for each attempt that will be repeated. */
  readonly onFailure: () => void
  /** Called for each attempt that the destination refused and of which it has nothing, whether it will be repeated or not. */
  readonly onRefusal: (error: PenstockError) => void
}

/** `ended`: the assignment ended first, so the range is left to whoever finds its intent. */
export type DeliveryOutcome = 'stored' | 'refused' | 'ended'

/** Runs an attempt once the circuit, if there is one, and a permit let it. @returns `undefined` if the assignment ended before */
export async function admitted<T>(
  { circuit, permits, ended }: DeliveryOptions,
  action: () => Promise<T>,
): Promise<T | undefined> {
  // A permit may be long in coming: a worker that ends begins nothing more, since its partitions wait for it.
  const begin = (): Promise<T | undefined> => permits.with(async () => (ended.aborted ? undefined : await action()))
  return circuit === undefined ? await begin() : await circuit.attempt(ended, begin)
}
