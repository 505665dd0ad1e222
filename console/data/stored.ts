/** Messages that are rows already. */
import { aText } from '#runtime/json-check.ts'
import { sqlRows, sqlText } from './sql-rows.ts'
import type { Message } from './tail.ts'

export type StoredMessage = Pick<Message, 'at' | 'body' | 'encoding'>

/** The last messages of a device, oldest first. @throws as `sqlRows` */
export async function storedMessages(
  deviceId: string,
  countMax: number,
  signal: AbortSignal,
): Promise<readonly StoredMessage[]> {
  const statement = `SELECT toUnixTimestamp64Milli(enqueued_at), body FROM penstock.telemetry
WHERE device_id = ${sqlText(deviceId)} ORDER BY enqueued_at DESC LIMIT ${countMax}`
  const rows = await sqlRows(statement, signal)
  return rows.map(([at, body]): StoredMessage => ({ at: Number(at), body: aText(body), encoding: 'utf8' })).reverse()
}
