import type { RoutingSource } from '#pipeline/routing/condition/condition.ts'
import { assert } from '#runtime/assert.ts'
import { type Envelope, envelopeBytes } from '#schemas/batch.ts'
import type { BatchBlock } from '#schemas/batch-walk.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { DeliveredTopic } from '#schemas/log-topics.ts'
import { type BlockReader, blocksOf } from './block-reader.ts'
import { envelopesIn } from './envelope-reading.ts'
import { EnvelopeScan } from './envelope-scan.ts'
import { eventMessageOf } from './event-message.ts'
import type { RouteSet } from './route-set.ts'
import { type SelectedBlock, Selection } from './selection.ts'
import { type BlockVerdicts, RouteTally, SelectionPass } from './selection-pass.ts'
import { SenderText } from './sender.ts'
import { RecordTwins, type SenderTwins } from './sender-twins.ts'

/** What a record holds: messages of devices, events about them that are to become messages, or messages about their twins. */
export type RecordKind = DeliveredTopic

export interface SelectorOptions {
  readonly routeSet: RouteSet
  /** Shared by the selectors of a process. */
  readonly reader: BlockReader
  /** In the messages that events become. */
  readonly hubName: string
  /** Left out: nobody has a twin. */
  readonly twins?: SenderTwins | undefined
  /** Endpoints of the route set whose messages are stamped with what stands in twins. */
  readonly twinStampedEndpoints?: readonly string[]
  /** Awaited between blocks, of which one takes milliseconds. Left out: a record is evaluated at once. */
  readonly between?: () => Promise<void>
}

const eventSources: readonly RoutingSource[] = ['DeviceLifecycleEvents', 'DeviceConnectionStateEvents']

/**
 * Says which messages of a record go to which endpoints of a route set. It learns the properties that devices send, so keep one as long as
 * the set is used.
 */
export class Selector {
  readonly #options: SelectorOptions
  readonly #passes = new Map<RoutingSource, SelectionPass>()
  readonly #sender = new SenderText()

  constructor(options: SelectorOptions) {
    this.#options = options
    const { routeSet } = options
    for (const source of ['DeviceMessages', 'TwinChangeEvents', ...eventSources] as const) {
      const rules = routeSet.rules(source)
      if (rules) this.#passes.set(source, new SelectionPass(routeSet, rules))
    }
  }

  /** Messages whose properties were known to a source's routes, and those whose properties were read. */
  get suffixes(): { readonly hits: number; readonly misses: number } {
    let [hits, misses] = [0, 0]
    for (const { suffixes } of this.#passes.values()) {
      hits += suffixes.hits
      misses += suffixes.misses
    }
    return { hits, misses }
  }

  /**
   * @param value a log record, a batch of schema version 1; not to be changed as long as the selection is used
   * @throws BATCH_CORRUPT
   */
  async select(value: Uint8Array, kind: RecordKind): Promise<Selection> {
    const blocks = blocksOf(value)
    if (kind === 'events') return this.#selectEvents(value, blocks)
    return this.#selectMessages(value, blocks, kind === 'telemetry' ? 'DeviceMessages' : 'TwinChangeEvents')
  }

  /** Of records that hold the messages as routes get them. */
  async #selectMessages(value: Uint8Array, blocks: readonly BatchBlock[], source: RoutingSource): Promise<Selection> {
    const { routeSet, reader } = this.#options
    const rules = routeSet.rules(source)
    if (rules === undefined) return this.#nothing(blocks)
    const messageCount = countOf(blocks)
    if (!rules.looksAtMessages) {
      const tally = this.#tally()
      for (const index of rules.always) tally.count(index, true, messageCount)
      return Selection.undecoded(messageCount, rules.alwaysMask, routeSet.endpoints.length, tally)
    }
    const plains = await reader.read(value, blocks)
    assert(plains.length === blocks.length, `of ${blocks.length} blocks each is read, and not ${plains.length}`)
    let firstIndex = 0
    const runs = plains.map((plain, index): MessageRun => {
      const { messageCount: count, start, end } = blocks[index] as BatchBlock
      firstIndex += count
      const stored = value.subarray(start, end)
      return { source, plain, firstIndex: firstIndex - count, messageCount: count, stored }
    })
    return this.#selectRuns(messageCount, runs)
  }

  async #selectEvents(value: Uint8Array, blocks: readonly BatchBlock[]): Promise<Selection> {
    const { reader, hubName } = this.#options
    if (!eventSources.some((source) => this.#passes.has(source))) return this.#nothing(blocks)
    const runs: MessageRun[] = []
    for (const { source, firstIndex, envelopes } of runsOf(
      await reader.read(value, blocks),
      countOf(blocks),
      hubName,
    )) {
      if (!this.#passes.has(source)) continue
      const messages = envelopes.map(envelopeBytes)
      // No edge writes such an event; whoever copies messages relies on it.
      if (messages.some(({ length }) => length > limits.envelopeBytesMax))
        throw new PenstockError('BATCH_CORRUPT', 'an event that makes a message larger than one may be')
      const plain = Buffer.concat(messages)
      runs.push({ source, plain, firstIndex, messageCount: envelopes.length, stored: undefined })
    }
    return this.#selectRuns(countOf(blocks), runs)
  }

  /** Where twins are asked for that are not known, once they are. */
  async #selectRuns(messageCount: number, runs: readonly MessageRun[]): Promise<Selection> {
    const { routeSet, twins: senderTwins, twinStampedEndpoints = [], between } = this.#options
    const asksTwins =
      twinStampedEndpoints.length > 0 || runs.some(({ source }) => routeSet.rules(source)?.asksTwins === true)
    const twins = senderTwins && asksTwins ? new RecordTwins(senderTwins) : undefined
    for (;;) {
      const tally = this.#tally()
      const blocks: SelectedBlock[] = []
      for (const run of runs) {
        const verdicts = this.#passes.get(run.source)?.run(run.plain, run.messageCount, tally, twins)
        if (verdicts !== undefined) blocks.push({ ...verdicts, ...run })
        if (between !== undefined) await between()
      }
      const { endpoints, maskWords } = routeSet
      const selection = Selection.decoded(messageCount, blocks, endpoints.length, maskWords, tally, twins)
      if (twins === undefined) return selection
      for (const name of twinStampedEndpoints) this.#askOfStamped(selection, endpoints.indexOf(name), twins)
      if (!(await twins.load())) return selection
    }
  }

  #askOfStamped(selection: Selection, endpoint: number, twins: RecordTwins): void {
    const scan = new EnvelopeScan()
    for (const block of selection.decodedBlocks(endpoint)) {
      scan.open(block.plain)
      selection.runs(block, endpoint, (first, end) => {
        for (let message = first; message < end; message++) {
          scan.enter(block.starts[message] as number)
          twins.of(this.#sender.of(scan))
        }
      })
    }
  }

  #nothing(blocks: readonly BatchBlock[]): Selection {
    const { endpoints, maskWords } = this.#options.routeSet
    return Selection.undecoded(countOf(blocks), new Uint32Array(maskWords), endpoints.length, this.#tally())
  }

  #tally(): RouteTally {
    return new RouteTally(this.#options.routeSet.names.length)
  }
}

const countOf = (blocks: readonly BatchBlock[]): number =>
  blocks.reduce((sum, { messageCount }) => sum + messageCount, 0)

/** Messages of one source, one behind the other. */
type MessageRun = Omit<SelectedBlock, keyof BlockVerdicts>

/** Neighbouring events of one source, as the messages that routes get. */
interface EventRun {
  readonly source: RoutingSource
  readonly firstIndex: number
  readonly envelopes: Envelope[]
}

/** @throws BATCH_CORRUPT also behind the last run, if there are not so many events */
function* runsOf(plains: readonly Buffer[], count: number, hubName: string): Generator<EventRun> {
  let run: EventRun | undefined
  let index = 0
  for (const plain of plains) {
    for (const stored of envelopesIn(plain)) {
      const message = eventMessageOf(stored, hubName)
      if (run !== undefined && message?.source !== run.source) {
        yield run
        run = undefined
      }
      if (message !== undefined) {
        run ??= { source: message.source, firstIndex: index, envelopes: [] }
        run.envelopes.push(message.envelope)
      }
      index++
    }
  }
  if (run !== undefined) yield run
  if (index !== count)
    throw new PenstockError('BATCH_CORRUPT', `a record holds ${index} events, its blocks say ${count}`)
}
