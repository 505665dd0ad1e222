/** What an operator does with dead letters: look, send again, drop. The topic only grows; see `schemas/dead-letter.ts`. */
import type { BatchStamp, Log, LogRecord } from '#pipeline/log/log.ts'
import { walkLog } from '#pipeline/reading/log-walk.ts'
import {
  eachRecord,
  findDeadLetter,
  type LetterId,
  LetterLedger,
  type ListedLetter,
  textOfLetterId,
} from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { deliverLetter, type LetterDelivery } from '#pipeline/workers/deliver-letter.ts'
import { assert } from '#runtime/assert.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'
import {
  bytesFromProgress,
  bytesFromReplay,
  bytesFromSettlement,
  type DeadLetter,
  letterFromBytes,
} from '#schemas/dead-letter.ts'
import { PenstockError } from '#schemas/errors.ts'

/** @throws CONTROL_COMMAND_INVALID if `text` is not `partition:offset` */
export function letterIdFromText(text: string): LetterId {
  const match = /^(\d{1,9}):(\d{1,15})$/.exec(text)
  if (!match)
    throw new PenstockError(
      'CONTROL_COMMAND_INVALID',
      `"${text}" is not the id of a dead letter: <partition:offset>, as \`penstock dead-letters list\` shows them`,
    )
  return { partition: Number(match[1]), offset: Number(match[2]) }
}

type StampedLetter = DeadLetter & { readonly stamp: BatchStamp }

/** A letter with its bytes, settled or not. @throws DEAD_LETTER_UNKNOWN */
export async function readDeadLetter(log: Log, id: LetterId): Promise<StampedLetter> {
  return await withBytes(log, await findDeadLetter(log, id))
}

async function withBytes(log: Log, { id }: ListedLetter): Promise<StampedLetter> {
  let record: LogRecord | undefined
  const walk = { partition: id.partition, from: id.offset, end: id.offset + 1, readBytesMax: 1 }
  await walkLog(log, walk, (one) => {
    record = one
  })
  const found = record && letterFromBytes(record.value)
  if (!record || found?.kind !== 'letter')
    throw new PenstockError('DEAD_LETTER_UNKNOWN', `the dead letter ${textOfLetterId(id)} is no longer kept`)
  return { ...found, stamp: record.stamp }
}

/**
 * Appends the letter's bytes to its own partition again, under a stamp of its own, and settles it. What refused it must have
 * been repaired, or it comes back as another letter. Killed at any moment it is to be called again, and sends nothing twice:
 *
 *   note the stamp ─▶ is it on the log since? ── yes ─────────────▶ settle
 *   (the first note        └── no ──▶ append ─────────────────────────┘
 *    counts)                          one of a killed process that lands only now has the same stamp: the worker leaves it out
 *
 * A letter of an endpoint is refused here: on the log it would go to every destination. It goes by `replayToEndpoint`.
 * @returns its new offset on the telemetry topic
 * @throws DEAD_LETTER_UNKNOWN, DEAD_LETTER_SETTLED, DEAD_LETTER_OF_ENDPOINT, BATCH_CORRUPT if the letter has no bytes, what the logs throw
 */
export async function replayDeadLetter(deadLetters: Log, telemetry: Log, id: LetterId, nowMs: number): Promise<number> {
  const found = await findDeadLetter(deadLetters, id)
  assertUnsettled(found)
  if (found.letter.endpoint !== undefined)
    throw new PenstockError(
      'DEAD_LETTER_OF_ENDPOINT',
      `dead letter ${textOfLetterId(id)} is of the endpoint ${found.letter.endpoint}; on the log it would go to every destination`,
    )
  const { stamp, bytes, partition } = await withBytes(deadLetters, found)
  if (bytes.length === 0)
    throw new PenstockError('BATCH_CORRUPT', 'the letter came without its bytes; see penstock.dead_letters')
  if (found.state === 'open') {
    const next = (await telemetry.ranges())[partition]?.next ?? 0
    const replay = { letter: found.id.offset, epoch: nowMs, next, atMs: nowMs }
    await note(deadLetters, found.id, nowMs, bytesFromReplay(replay))
  }
  const begun = await findDeadLetter(deadLetters, id)
  assertUnsettled(begun)
  // A stamp of its own: under the old one a worker would take it for what it has settled already.
  const edgeId = `replay-${begun.id.partition}-${begun.id.offset}`
  const again: BatchStamp = { ...stamp, edgeId, epoch: begun.replay?.epoch ?? nowMs, sequence: 0 }
  const sent = await offsetOnLog(telemetry, partition, again, begun.replay?.next ?? 0)
  const offset = sent ?? (await telemetry.append(partition, again, bytes))
  await settle(deadLetters, begun.id, 'replayed', nowMs)
  return offset
}

/** What a replay to an endpoint needs of it. */
export type EndpointAccess = Pick<
  LetterDelivery,
  'circuit' | 'clock' | 'deadLetters' | 'destination' | 'ended' | 'logger' | 'metrics' | 'permits' | 'random'
>

/**
 * Hands the letter to the endpoint that refused it, and settles it; what is refused again is another letter. Killed at any moment it is to be
 * called again: a table then stores nothing twice, any other endpoint may get it twice, under the same ids. Whoever begins last goes on.
 * @param access its destination names what it stores by a group that no log has, since letters have positions of their own
 * @returns false if it was interrupted
 * @throws DEAD_LETTER_UNKNOWN, DEAD_LETTER_SETTLED, DEAD_LETTER_REPLAYING if another replay took it over, BATCH_CORRUPT if the letter's
 *   bytes are missing or can't be read, what the log throws
 */
export async function replayToEndpoint(deadLetters: Log, id: LetterId, access: EndpointAccess): Promise<boolean> {
  const { clock } = access
  const ledger = await LetterLedger.read(deadLetters, id.partition)
  const latest = async (): Promise<ListedLetter> => {
    await ledger.readOn()
    const found = ledger.find(id.offset)
    if (!found) throw new PenstockError('DEAD_LETTER_UNKNOWN', `there is no dead letter ${textOfLetterId(id)}`)
    return found
  }
  const found = await latest()
  assertUnsettled(found)
  assert(found.letter.endpoint === access.destination.name, 'a letter goes to the endpoint that refused it')
  const { stamp, bytes } = await withBytes(deadLetters, found)
  // What can't be read would only become another letter.
  envelopesOfBatch(bytes)
  const own = { letter: found.id.offset, epoch: Math.floor(access.random() * Number.MAX_SAFE_INTEGER) }
  const isOwn = ({ state, replay }: ListedLetter): boolean => state === 'replaying' && replay?.epoch === own.epoch
  const noted = (value: Buffer) => note(deadLetters, found.id, clock.nowMs(), value)
  await noted(bytesFromReplay({ ...own, next: 0, atMs: clock.nowMs() }))
  const begun = await latest()
  assertUnsettled(begun)
  if (!isOwn(begun)) throw takenOver(begun)
  await deliverLetter({
    ...access,
    topic: deadLetters.topic,
    partition: begun.id.partition,
    letter: { offset: own.letter, stamp, value: bytes },
    progress: begun.progress,
    async onProgress(text) {
      await noted(bytesFromProgress({ ...own, note: text, atMs: clock.nowMs() }))
      if (!isOwn(await latest()))
        throw new PenstockError('LOG_GENERATION_STALE', 'another replay of the letter was begun')
    },
    onSettled: () => settle(deadLetters, begun.id, 'replayed', clock.nowMs()),
  })
  const after = await latest()
  if (after.state === 'replaying' && !isOwn(after)) throw takenOver(after)
  return after.state === 'replayed'
}

function takenOver({ id }: ListedLetter): PenstockError {
  return new PenstockError(
    'DEAD_LETTER_REPLAYING',
    `another replay of dead letter ${textOfLetterId(id)} goes on with it`,
  )
}

/**
 * Settles the letter without sending it. Its bytes stay on the topic as long as its retention says.
 * @throws DEAD_LETTER_UNKNOWN, DEAD_LETTER_SETTLED, DEAD_LETTER_REPLAYING
 */
export async function dropDeadLetter(deadLetters: Log, id: LetterId, nowMs: number): Promise<void> {
  const found = await findDeadLetter(deadLetters, id)
  assertUnsettled(found)
  if (found.state === 'open') await settle(deadLetters, found.id, 'dropped', nowMs)
  // Someone else may have been first.
  if ((await findDeadLetter(deadLetters, id)).state !== 'dropped')
    throw new PenstockError(
      'DEAD_LETTER_REPLAYING',
      `a replay of dead letter ${textOfLetterId(id)} was begun and may have been sent; replay it again to end that, nothing is sent twice`,
    )
}

function assertUnsettled({ id, state, stateAtMs }: ListedLetter): void {
  if (state === 'open' || state === 'replaying') return
  const at = new Date(stateAtMs).toISOString()
  throw new PenstockError(
    'DEAD_LETTER_SETTLED',
    `dead letter ${textOfLetterId(id)} was ${state} at ${at}; nothing was done`,
  )
}

/** Where a batch with this stamp lies at or behind `from`. What retention removed since is left to the worker's memory. */
async function offsetOnLog(log: Log, partition: number, wanted: BatchStamp, from: number): Promise<number | undefined> {
  let found: number | undefined
  await eachRecord(log, partition, from, ({ offset, stamp: { edgeId, epoch } }) => {
    if (edgeId === wanted.edgeId && epoch === wanted.epoch) found ??= offset
  })
  return found
}

async function settle(log: Log, id: LetterId, as: 'replayed' | 'dropped', atMs: number): Promise<void> {
  await note(log, id, atMs, bytesFromSettlement({ letter: id.offset, as, atMs }))
}

async function note(log: Log, { partition, offset }: LetterId, atMs: number, value: Buffer): Promise<void> {
  const stamp: BatchStamp = {
    schemaVersion: 1,
    edgeId: `settle-${partition}-${offset}`,
    epoch: atMs,
    sequence: 0,
    messageCount: 1,
    enqueuedAtMsFirst: atMs,
    enqueuedAtMsLast: atMs,
  }
  await log.append(partition, stamp, value)
}
