import { type ListedLetter, textOfLetterId } from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'
import type { DeadLetter } from '#schemas/dead-letter.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { renderTable } from './render-table.ts'

/** Letters that wait, a line each, and how many are settled. */
export function renderDeadLetters(letters: readonly ListedLetter[]): string {
  const count = (wanted: ListedLetter['state']) => letters.filter(({ state }) => state === wanted).length
  const waiting = letters.filter(({ state }) => state === 'open' || state === 'replaying')
  const settled = `${count('replayed')} replayed, ${count('dropped')} dropped`
  if (waiting.length === 0) return letters.length === 0 ? 'no dead letters\n' : `no open dead letters; ${settled}\n`
  const rows = waiting.map(({ id, state, letter, byteCount }) => [
    textOfLetterId(id),
    state,
    new Date(letter.atMs).toISOString(),
    letter.endpoint === undefined ? letter.reason : `${letter.reason} (${letter.endpoint})`,
    `${letter.topic}/${letter.partition}@${letter.offset}${letter.messageFirst ? `+${letter.messageFirst}` : ''}`,
    String(letter.messageCount),
    String(byteCount),
    letter.text,
  ])
  const head = ['id', 'state', 'given up', 'reason', 'position', 'messages', 'bytes', 'text']
  return `${renderTable(head, rows)}${waiting.length} open; ${settled}\n`
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
