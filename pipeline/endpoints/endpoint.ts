/**
 * The port of a destination that can't be asked what it has: at least once, under ids that stay the same.
 *
 *   intent a..b written down ─▶ request a..b#0+1000 ─▶ request a..b#1000+1000 ─▶ … ─▶ position b+1
 *                                  │ retry: the same bytes again     │ refused: halves; one message: a dead letter
 *
 * After a crash a..b is delivered again from its start, under the same ids. The worker cuts requests and halves them; an adapter only sends
 * one and says what became of it. Adapters lie in `pipeline/sinks/<kind>`; `endpoint.conformance.ts` states what all of them hold.
 */
import type { RangeLimits } from './delivery-range.ts'
import type { EndpointError } from './endpoint-error.ts'
import type { SelectedMessage } from './selected-range.ts'

export interface EndpointRequest {
  /**
   * `<endpoint>/<topic>/<partition>/<a>-<b>/<edge>.<epoch>.<sequence>[@<revision>]#<first>+<count>`: the same in every attempt. No other
   * request has it, and whatever has it has the same bytes. ASCII, at most 512 characters.
   */
  readonly id: string
  readonly topic: string
  readonly partition: number
  /** At least one, in their order; at most what the endpoint's limits say, but always one. */
  readonly messages: readonly SelectedMessage[]
}

export type RequestOutcome =
  | { readonly kind: 'delivered' }
  /**
   * What became of it is not known, or it was not taken: the same messages come again, without the first `deliveredCount`, which are
   * delivered for certain.
   */
  | { readonly kind: 'retry'; readonly error: EndpointError; readonly deliveredCount?: number }
  /**
   * Refused for what it holds, and never to be taken as it is. With `refused` the adapter knows which messages, by their place in
   * the request; all others are delivered. Without it nothing of the request was taken: it comes again in halves (so 413 is this).
   * A message that is refused alone becomes a dead letter.
   */
  | { readonly kind: 'refused'; readonly error: EndpointError; readonly refused?: ReadonlyMap<number, string> }
  /** Nothing is taken from us at present (401, 403, 404, 410, a queue is gone): unhealthy at once, repeated, never a letter. */
  | { readonly kind: 'held'; readonly error: EndpointError }

export interface Endpoint {
  readonly atomic: false
  /** The endpoint's own name; a label of its metrics, so from a small closed set. */
  readonly name: string
  /** What one request may hold: messages, and bytes of their envelopes. One message always goes, however large. */
  readonly requestMessagesMax: number
  readonly requestBytesMax: number
  /** What is repeated from its start after a crash; left out: what `limits.requestRange…` say. */
  readonly rangeLimits?: RangeLimits
  /** Requests at once, of different partitions; one partition has one under way, which keeps its order. */
  readonly requestsAtOnceMax: number
  /**
   * Sends one request and says what became of it, in a time that the adapter bounds (`requestMsMax`). Once it has answered, nothing of
   * this attempt may take effect any more if the outcome was `delivered` or `refused`.
   * @param ended aborted when the answer is no longer needed; the adapter may give up at once with `retry`
   * @throws nothing that is expected: a throw is a fault of the program
   */
  deliver(request: EndpointRequest, ended: AbortSignal): Promise<RequestOutcome>
  readonly requestMsMax: number
  /**
   * False if it would take nothing from us at present; asked before a message is given up. True if there is no way to ask, or no answer
   * came.
   */
  accepts(): Promise<boolean>
  /** As of `TableSink`. */
  close(): Promise<void>
}
