/**
 * Changes of twins as the log tells them, for what a router keeps of twins. It reads outside any group and from the end on: what it did not hear
 * of while it did not read may have changed.
 */
import type { Log } from '#pipeline/log/log.ts'
import type { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type Envelope, messagesOfBatch } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'

const readBytesMax = 1024 * 1024
const retryMs = 1_000

export interface TwinChangesOptions {
  /** The topic of twin events. */
  readonly log: Pick<Log, 'ranges' | 'read'>
  readonly twins: SenderTwins
  readonly clock: Clock
  readonly logger: Logger
}

/** @returns ends it, and resolves when nothing is under way */
export function followTwinChanges({ log, twins, clock, logger }: TwinChangesOptions): () => Promise<void> {
  const closed = new AbortController()
  const { signal } = closed
  const running = run()
  return async () => {
    closed.abort()
    await running
  }

  async function run(): Promise<void> {
    /** By partition; undefined: where it is going on is not known. */
    let offsets: number[] | undefined
    let isAway = false
    while (!signal.aborted) {
      // Nobody asks for twins: nothing is kept that could be wrong.
      if (!twins.isUsed) {
        await sleep(clock, limits.twinChangesLookMs, signal)
        continue
      }
      try {
        if (offsets === undefined) {
          offsets = (await log.ranges()).map(({ next }) => next)
          twins.missed()
        }
        const isMore = await readOnce(offsets)
        isAway = false
        if (!isMore) await sleep(clock, limits.twinChangesLookMs, signal)
      } catch (error) {
        if (!isPenstockError(error)) throw error
        if (!isAway) logger.warn('changes of twins are not heard; what is kept of them is read anew', { error })
        isAway = true
        offsets = undefined
        await sleep(clock, retryMs, signal)
      }
    }
  }

  /** @returns whether there may be more */
  async function readOnce(offsets: number[]): Promise<boolean> {
    let isMore = false
    for (const [partition, offset] of offsets.entries()) {
      for (const record of await log.read(partition, offset, readBytesMax)) {
        const next = offsets[partition] ?? offset
        assert(record.offset >= next, `changes are heard from ${next} on, and not again from ${record.offset}`)
        for (const { envelope } of messagesOfBatch(record.value)) apply(envelope)
        offsets[partition] = record.offset + 1
        isMore = true
      }
    }
    return isMore
  }

  function apply({ deviceId, systemProperties, properties, body }: Envelope): void {
    const sender = identityText({ deviceId, moduleId: systemProperties.moduleId })
    if (!twins.knows(sender)) return
    const isWhole = properties.opType !== 'updateTwin'
    twins.changed(sender, isWhole ? undefined : documentOf(body))
  }
}

/** Undefined: nobody knows what is in it. */
function documentOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString())
  } catch {
    return undefined
  }
}
