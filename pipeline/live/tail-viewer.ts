import type { Clock } from '#runtime/clock.ts'
import type { Envelope } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { matcherOf, partitionOf, type TailFilter } from './tail-filter.ts'

/** A message as a viewer gets it. */
export interface SeenMessage {
  readonly partition: number
  /** Of the record; messages of one record have the same. */
  readonly offset: number
  readonly device: string
  readonly at: number
  /** As text where all of it is UTF-8, else base64. */
  readonly body: string
  readonly encoding: 'utf8' | 'base64'
  /** Of the whole body, of which `body` may be the beginning. */
  readonly bytes: number
  readonly properties: Readonly<Record<string, string>>
  readonly system: Readonly<Record<string, string>>
}

/** What happened at the end of the log since the last report. */
export interface TailReport {
  readonly at: number
  readonly messages: readonly SeenMessage[]
  /** Messages that matched. Fewer are shown: `messages`. */
  readonly matched: number
  /** Messages that were looked at. */
  readonly seen: number
  /** Messages that nobody looked at, since there were too many; about so many. */
  readonly skipped: number
  /** Where the range of the message that was shown first has become rows, and when that was first seen. */
  readonly stored?: { readonly partition: number; readonly offset: number; readonly at: number } | undefined
}

/** One who looks at the tail: what of it is kept for the next report, within bounds. */
export class TailViewer {
  /** Where all that it wants lies, of so many partitions; `undefined`: anywhere. */
  readonly #partition: number | undefined
  readonly #partitionCount: number
  /** Wants to know when its first message has become a row. */
  readonly wantsStored: boolean
  readonly #clock: Clock
  readonly #matches: (envelope: Envelope) => boolean
  #messages: SeenMessage[] = []
  #keptBytes = 0
  #matched = 0
  #seen = 0
  #skipped = 0
  #stored: TailReport['stored']
  /** Messages that may be shown at once. */
  #room: number = limits.tailMessagesPerSecondMax
  #roomAtMs: number
  /** The record of the first message, until its rows are there. */
  awaited: { readonly partition: number; readonly offset: number } | undefined

  constructor(filter: TailFilter, partitionCount: number, wantsStored: boolean, clock: Clock) {
    this.#partition = partitionOf(filter, partitionCount)
    this.#partitionCount = partitionCount
    this.wantsStored = wantsStored
    this.#matches = matcherOf(filter)
    this.#clock = clock
    this.#roomAtMs = clock.monotonicMs()
  }

  /** Also of partitions that were added meanwhile: a device moves only to one that follows its own by a multiple of what there was. */
  looksAt(partition: number): boolean {
    return this.#partition === undefined || partition % this.#partitionCount === this.#partition
  }

  /** Whether another message could be shown now. Where no viewer has room nothing is decoded. */
  hasRoom(): boolean {
    const nowMs = this.#clock.monotonicMs()
    const perSecond = limits.tailMessagesPerSecondMax
    this.#room = Math.min(perSecond, this.#room + ((nowMs - this.#roomAtMs) * perSecond) / 1_000)
    this.#roomAtMs = nowMs
    return !this.isFull
  }

  /** As it was when it was last asked whether it has room, and after what it was shown since. */
  get isFull(): boolean {
    return this.#room < 1 || this.#keptBytes >= limits.tailViewerBytesMax
  }

  skip(count: number): void {
    this.#skipped += count
  }

  offer(partition: number, offset: number, envelope: Envelope): void {
    this.#seen++
    if (!this.#matches(envelope)) return
    this.#matched++
    if (this.isFull) return
    this.#room--
    const message = messageOf(partition, offset, envelope)
    this.#keptBytes += message.body.length + 200
    this.#messages.push(message)
    if (this.wantsStored && this.#stored === undefined) this.awaited ??= { partition, offset }
  }

  onStored(atMs: number): void {
    if (this.awaited === undefined) return
    this.#stored = { ...this.awaited, at: atMs }
    this.awaited = undefined
  }

  /** What there is to say; `undefined`: nothing. */
  report(): TailReport | undefined {
    const isQuiet = this.#seen === 0 && this.#skipped === 0 && this.#stored === undefined
    if (isQuiet) return undefined
    return this.heartbeat()
  }

  /** The same, also where there is nothing to say but that all is well. */
  heartbeat(): TailReport {
    const report: TailReport = {
      at: this.#clock.nowMs(),
      messages: this.#messages,
      matched: this.#matched,
      seen: this.#seen,
      skipped: this.#skipped,
      stored: this.#stored,
    }
    this.#messages = []
    this.#keptBytes = 0
    this.#matched = 0
    this.#seen = 0
    this.#skipped = 0
    this.#stored = undefined
    return report
  }
}

function messageOf(partition: number, offset: number, envelope: Envelope): SeenMessage {
  const { deviceId, enqueuedAtMs, body, properties, systemProperties } = envelope
  const kept = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, limits.tailBodyBytesMax))
  const text = textOf(kept, body.byteLength > kept.byteLength)
  return {
    partition,
    offset,
    device: deviceId,
    at: enqueuedAtMs,
    body: text ?? kept.toString('base64'),
    encoding: text === undefined ? 'base64' : 'utf8',
    bytes: body.byteLength,
    properties,
    system: systemProperties,
  }
}

/** @param isCut the last character may be a part of one */
function textOf(bytes: Buffer, isCut: boolean): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: isCut })
  } catch {
    return undefined
  }
}
