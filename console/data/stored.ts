/** Messages that are rows already. */
import { aText, type JsonCheck, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { linesOf } from './lines.ts'
import type { Message } from './tail.ts'

export type StoredMessage = Pick<Message, 'at' | 'body' | 'encoding'>

interface Line {
  readonly row: readonly unknown[] | undefined
  readonly fault: string | undefined
}

const anything: JsonCheck<unknown> = (value) => value
const lineCheck = recordOf<Line>({ row: optional(listOf(anything)), fault: optional(aText) })

/** The last messages of a device, oldest first. @throws as `answerOf`; Error with ClickHouse's text */
export async function storedMessages(
  deviceId: string,
  countMax: number,
  signal: AbortSignal,
): Promise<readonly StoredMessage[]> {
  const statement = `SELECT toUnixTimestamp64Milli(enqueued_at), body FROM penstock.telemetry
WHERE device_id = ${literal(deviceId)} ORDER BY enqueued_at DESC LIMIT ${countMax}`
  const messages: StoredMessage[] = []
  for await (const value of linesOf('/console/sql', { method: 'POST', text: statement, signal })) {
    const { row, fault } = lineCheck(value)
    if (fault !== undefined) throw new Error(fault)
    // 64-bit integers come as texts.
    if (row !== undefined) messages.unshift({ at: Number(row[0]), body: aText(row[1]), encoding: 'utf8' })
  }
  return messages
}

function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
