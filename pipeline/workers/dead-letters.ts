/** What an operator does with dead letters: look, send again, drop. The topic only grows; see `schemas/dead-letter.ts`. */
import type { BatchStamp, Log } from '#pipeline/log/log.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'
import { bytesFromSettlement, type DeadLetter, letterFromBytes } from '#schemas/dead-letter.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'

const readBytesMax = 8 * 1024 * 1024

/** Where a letter lies on the dead-letter topic; as text `partition:offset`. */
export interface LetterId {
  readonly partition: number
  readonly offset: number
}

/** A letter that is neither replayed nor dropped. */
export interface OpenLetter {
  readonly id: LetterId
  readonly letter: Omit<DeadLetter, 'kind' | 'bytes'>
  readonly byteCount: number
}

/** @throws SETTINGS_INVALID if `text` is not `partition:offset` */
export function letterIdFromText(text: string): LetterId {
  const match = /^(\d+):(\d+)$/.exec(text)
  if (!match) throw new PenstockError('SETTINGS_INVALID', `${text} is not the id of a dead letter (partition:offset)`)
  return { partition: Number(match[1]), offset: Number(match[2]) }
}

/** All open letters in the order they were written, without their bytes. Reads the whole topic. */
export async function listDeadLetters(log: Log): Promise<OpenLetter[]> {
  const open: OpenLetter[] = []
  for (let partition = 0; partition < log.partitionCount; partition++) {
    const letters = new Map<number, OpenLetter>()
    await eachRecord(log, partition, (offset, value) => {
      const found = letterFromBytes(value)
      if (found.kind === 'settlement') {
        letters.delete(found.letter)
        return
      }
      const { bytes, kind: _, ...letter } = found
      letters.set(offset, { id: { partition, offset }, letter, byteCount: bytes.length })
    })
    open.push(...letters.values())
  }
  return open
}

/** What of one batch became letters. */
export interface LetteredBatch {
  /** False if its bytes could not be read: then its stamp proves nothing. */
  readonly readable: boolean
  /** Messages by which one of them is a letter's first; a letter that was written twice counts once. */
  readonly counts: ReadonlyMap<number, number>
}

/** Batches of `topic` that became letters, wholly or in part, settled or not, by partition and offset. */
export async function listLetteredBatches(log: Log, topic: string): Promise<Map<number, Map<number, LetteredBatch>>> {
  const partitions = new Map<number, Map<number, LetteredBatch>>()
  for (let home = 0; home < log.partitionCount; home++) {
    await eachRecord(log, home, (_, value) => {
      const found = letterFromBytes(value)
      if (found.kind !== 'letter' || found.topic !== topic) return
      const { partition, offset, reason, messageFirst = 0, messageCount } = found
      const batches = partitions.get(partition) ?? new Map<number, LetteredBatch>()
      const counts = new Map(batches.get(offset)?.counts).set(messageFirst, messageCount)
      partitions.set(partition, batches.set(offset, { readable: reason !== 'BATCH_CORRUPT', counts }))
    })
  }
  return partitions
}

/** A letter with its bytes, settled or not. @throws LOG_POSITION_LOST if there is none */
export async function readDeadLetter(log: Log, id: LetterId): Promise<DeadLetter & { readonly stamp: BatchStamp }> {
  const [record] = await log.read(id.partition, id.offset, 1)
  const found = record?.offset === id.offset ? letterFromBytes(record.value) : undefined
  if (!record || found?.kind !== 'letter')
    throw new PenstockError('LOG_POSITION_LOST', `there is no dead letter ${id.partition}:${id.offset}`)
  return { ...found, stamp: record.stamp }
}

/**
 * Appends the letter's bytes to its own partition again, under a stamp of its own, and settles it. What refused it must have
 * been repaired, or it comes back as another letter. A crash between the two leaves the letter open: it may be sent twice.
 * @returns its new offset on the telemetry topic
 */
export async function replayDeadLetter(deadLetters: Log, telemetry: Log, id: LetterId, nowMs: number): Promise<number> {
  const { stamp, bytes, partition } = await readDeadLetter(deadLetters, id)
  if (bytes.length === 0)
    throw new PenstockError('BATCH_CORRUPT', 'the letter came without its bytes; see penstock.dead_letters')
  // A stamp of its own: under the old one a worker would take it for what it has settled already.
  const edgeId = `replay-${id.partition}-${id.offset}`
  const offset = await telemetry.append(partition, { ...stamp, edgeId, epoch: nowMs, sequence: 0 }, bytes)
  await settle(deadLetters, id, 'replayed', nowMs)
  return offset
}

/** Settles the letter without sending it. Its bytes stay on the topic as long as its retention says. */
export async function dropDeadLetter(deadLetters: Log, id: LetterId, nowMs: number): Promise<void> {
  await readDeadLetter(deadLetters, id)
  await settle(deadLetters, id, 'dropped', nowMs)
}

export function renderDeadLetters(open: readonly OpenLetter[]): string {
  if (open.length === 0) return 'no dead letters\n'
  const rows = open.map(({ id, letter, byteCount }) => [
    `${id.partition}:${id.offset}`,
    new Date(letter.atMs).toISOString(),
    letter.reason,
    `${letter.topic}/${letter.partition}@${letter.offset}${letter.messageFirst ? `+${letter.messageFirst}` : ''}`,
    String(letter.messageCount),
    String(byteCount),
    letter.text,
  ])
  return renderTable(['id', 'given up', 'reason', 'position', 'messages', 'bytes', 'text'], rows)
}

/** One letter in full: its head, what can be decoded, and the first bytes. */
export function renderDeadLetter(letter: DeadLetter): string {
  const { kind: _, bytes, ...head } = letter
  const lines = Object.entries(head)
    .filter(([name]) => name !== 'stamp')
    .map(([name, value]) => `${name.padEnd(14)}${name === 'atMs' ? new Date(Number(value)).toISOString() : value}`)
  try {
    for (const { deviceId, enqueuedAtMs, body } of envelopesOfBatch(bytes).slice(0, 20))
      lines.push(
        `message       ${deviceId} ${new Date(enqueuedAtMs).toISOString()} ${JSON.stringify(Buffer.from(body).toString('utf8', 0, 200))}`,
      )
  } catch (error) {
    if (!isPenstockError(error)) throw error
    lines.push(`not readable  ${error.message}`)
  }
  for (let at = 0; at < Math.min(bytes.length, 256); at += 16) {
    const row = Buffer.from(bytes.subarray(at, at + 16))
    lines.push(
      `${at.toString(16).padStart(6, '0')}  ${row.toString('hex').replace(/(..)/g, '$1 ').padEnd(48)} ${row.toString('latin1').replace(/[^ -~]/g, '.')}`,
    )
  }
  return `${lines.join('\n')}\n`
}

/** Columns as wide as their widest cell. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)))
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

async function settle(
  log: Log,
  { partition, offset }: LetterId,
  as: 'replayed' | 'dropped',
  atMs: number,
): Promise<void> {
  const stamp: BatchStamp = {
    schemaVersion: 1,
    edgeId: `settle-${partition}-${offset}`,
    epoch: atMs,
    sequence: 0,
    messageCount: 1,
    enqueuedAtMsFirst: atMs,
    enqueuedAtMsLast: atMs,
  }
  await log.append(partition, stamp, bytesFromSettlement({ letter: offset, as, atMs }))
}

async function eachRecord(
  log: Log,
  partition: number,
  action: (offset: number, value: Uint8Array) => void,
): Promise<void> {
  const range = (await log.ranges())[partition]
  if (!range) return
  for (let offset = range.first; offset < range.next; ) {
    const records = await log.read(partition, offset, readBytesMax)
    if (records.length === 0) return
    for (const record of records) {
      action(record.offset, record.value)
      offset = record.offset + 1
    }
  }
}
