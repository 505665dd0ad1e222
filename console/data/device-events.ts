/** What happened to a device, from the tables in which it is kept. */
import { aText, type JsonCheck, mapOf } from '#runtime/json-check.ts'
import { shortened } from './format.ts'
import { sqlRows, sqlText } from './sql-rows.ts'

export const eventGroups = ['connection', 'lifecycle', 'twin', 'commands'] as const
export type EventGroup = (typeof eventGroups)[number]

export interface DeviceEvent {
  readonly at: number
  readonly event: string
  /** Empty: of the device itself. */
  readonly module: string
  /** Why a connection ended, how a command did. */
  readonly reason: string
  readonly details: Readonly<Record<string, string>>
  /** Of a twin what changed, as JSON without what the hub adds; a long one is cut. */
  readonly change: string
}

export interface EventsAsked {
  readonly deviceId: string
  /** `undefined`: all. */
  readonly group: EventGroup | undefined
  /** Only what came before, UTC milliseconds; `undefined`: the newest. */
  readonly before: number | undefined
  readonly countMax: number
}

const bodyLengthMax = 8_192
const changeLengthMax = 500
const kinds: Readonly<Record<Exclude<EventGroup, 'twin'>, readonly string[]>> = {
  connection: ['connected', 'disconnected'],
  lifecycle: ['created', 'updated', 'deleted', 'fileUploaded'],
  commands: ['commandEnded'],
}
/** That are shown in a place of their own. */
const ownNames: readonly string[] = [
  'event',
  'reason',
  'at',
  'sequence',
  'deviceId',
  'moduleId',
  'generationId',
  'hubName',
]
const texts: JsonCheck<Readonly<Record<string, string>>> = mapOf(aText)

/** The newest first. @throws as `sqlRows` */
export async function deviceEvents(asked: EventsAsked, signal: AbortSignal): Promise<readonly DeviceEvent[]> {
  const rows = await sqlRows(eventsStatement(asked), signal)
  return rows.map(([at, event, module, properties, change]) => {
    const given = texts(properties)
    return {
      at: Number(at),
      event: aText(event),
      module: aText(module),
      reason: given.reason ?? '',
      details: Object.fromEntries(
        Object.entries(given).filter(([name, text]) => text !== '' && !ownNames.includes(name)),
      ),
      change: changeText(aText(change)),
    }
  })
}

/** When and by which version the hub writes beside each property, under names that begin with a dollar. */
export function changeText(body: string): string {
  let text = body
  try {
    text = JSON.stringify(JSON.parse(body), (name, value) => (/^\$|^version$/.test(name) ? undefined : value)) ?? ''
  } catch {
    // It was cut.
  }
  return shortened(text, changeLengthMax)
}

export function eventsStatement({ deviceId, group, before, countMax }: EventsAsked): string {
  const earlier = before === undefined ? '' : ` AND enqueued_at < fromUnixTimestamp64Milli(${Math.trunc(before)})`
  const where = `device_id = ${sqlText(deviceId)}${earlier}`
  const ofKinds =
    group === undefined || group === 'twin' ? '' : ` AND properties['event'] IN (${kinds[group].map(sqlText)})`
  // A column by another name than its own, which the rest of the statement means.
  const device = `SELECT enqueued_at, properties['event'] AS event, system_properties['moduleId'] AS module, properties AS given, '' AS change
FROM penstock.device_events WHERE ${where}${ofKinds}`
  const twin = `SELECT enqueued_at, properties['opType'] AS event, properties['moduleId'] AS module, mapFilter((name, value) -> false, properties) AS given, substring(body, 1, ${bodyLengthMax}) AS change
FROM penstock.twin_events WHERE ${where}`
  const parts = group === undefined ? [device, twin] : [group === 'twin' ? twin : device]
  return `SELECT toUnixTimestamp64Milli(enqueued_at), event, module, given, change FROM (
${parts.join('\nUNION ALL\n')}
) ORDER BY enqueued_at DESC LIMIT ${countMax}`
}

/** How commands ended, by their ids. Only of those whose sender asked for feedback is it known. @throws as `sqlRows` */
export async function commandEnds(
  deviceId: string,
  messageIds: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const statement = `SELECT properties['messageId'], argMax(properties['reason'], enqueued_at) FROM penstock.device_events
WHERE device_id = ${sqlText(deviceId)} AND properties['event'] = 'commandEnded' AND properties['messageId'] IN (${messageIds.map(sqlText)})
GROUP BY 1`
  const rows = await sqlRows(statement, signal)
  return new Map(rows.map(([id, reason]) => [aText(id), aText(reason)] as const))
}
