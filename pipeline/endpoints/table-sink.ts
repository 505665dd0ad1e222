/**
 * The port of a destination that stores a range wholly or not at all, and can say which: exactly once.
 *
 *   intent a..b written down ─▶ stored(a..b)? ─▶ insert under its token ─▶ position b+1     repeated as exactly a..b after a crash
 *
 * Adapters lie in `pipeline/sinks/<kind>`; `table-sink.conformance.ts` states what all of them hold.
 */
import type { DeliveryRange, HeldRange, RangeLimits, RowGroup } from './delivery-range.ts'
import type { SelectedRange } from './selected-range.ts'

export interface TableSink {
  readonly atomic: true
  /** The endpoint's own name; a label of its metrics, so from a small closed set. */
  readonly name: string
  /** What one insert may hold; left out: what `limits.insert…` say. */
  readonly rangeLimits?: RangeLimits
  /** Longest time that batches are gathered for one insert; left out: the worker's own. */
  readonly gatherMsMax?: number
  /**
   * Longest time that an insert, once begun, may still take effect. The sink enforces it.
   * Together with `expiresMonotonicMs` it says when an insert of unknown outcome can no longer change anything.
   */
  readonly insertMsMax: number
  /**
   * Stores the range. Repeating it with the same token stores it at most once, for as long as the sink remembers the token: longer
   * than the time within which two inserts of one range can take effect (`expiresMonotonicMs` and `insertMsMax`, docs/GUARANTEES.md), or
   * for ever where the token becomes a name or a unique key. What is selected may differ between two attempts, since routes
   * change; then one of them takes effect, whichever.
   * @param token names the range; characters of a path
   * @param expiresMonotonicMs `Clock.monotonicMs` of this process: the sink must not begin this insert later, whatever delayed
   *   the request. This is the fence against a paused worker whose request arrives after another took the partition over. Only a
   *   sink that remembers tokens for ever may leave it.
   * @throws a fault whose disposition is `retry`: the outcome is unknown, the same bytes come again. `reject`: this range was refused
   *   for what it holds and the insert has ended; `stored` says whether it is there all the same, and if not it never will be; the
   *   worker cuts smaller, down to one message, which becomes a dead letter. `EndpointError` of code ENDPOINT_HELD: nothing would
   *   be taken from us at present (401, 403, 404, a table is gone); it is repeated and nothing becomes a letter
   */
  insert(selected: SelectedRange, token: string, expiresMonotonicMs: number): Promise<void>
  /**
   * Messages that are stored under the position of the range, with those of earlier parts of the same batch: more than
   * `range.part.storedBefore` (else 0) says that the range is stored. It is asked by position and time, both from the intent, and not
   * by `messageCount`, which may be of other routes. @throws as `insert`, `retry` only
   */
  stored(range: DeliveryRange): Promise<number>
  /**
   * What lies under the largest position of a partition below `end`, of those taken in at `sinceMs` (UTC) or later; `undefined` if
   * there is nothing. May look at everything. @throws as `stored`
   */
  newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined>
  /**
   * What lies under the positions of a partition from `from` (inclusive) to `end` (exclusive), in their order; for tools. Left out: it can't be
   * asked. @throws as `stored`
   */
  held?(partition: number, from: number, end: number): AsyncIterable<HeldRange>
  /**
   * True if the sink would take a range: what refuses one then is the range, not a dropped table or a missing right.
   * @throws as `stored`
   */
  accepts(): Promise<boolean>
  /** Ends its connections. The worker never does; whoever opened it does, once no worker uses it any more. */
  close(): Promise<void>
}
