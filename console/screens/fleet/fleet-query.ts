/** The hub's query of a page of devices. */
import { CallFault } from '#console/data/call.ts'
import { listedFields, queryText } from '#console/data/devices.ts'

/**
 * @param prefix how ids begin; the bounds beside it are what an index is used for, and `~` stands behind whatever an id may have
 * @param where a condition of the hub's query language, as it was typed
 */
export function fleetQuery(prefix: string, where: string): string {
  const conditions = [
    ...(prefix === ''
      ? []
      : [
          `deviceId >= ${queryText(prefix)}`,
          `deviceId < ${queryText(`${prefix}~`)}`,
          `STARTSWITH(deviceId, ${queryText(prefix)})`,
        ]),
    ...(where.trim() === '' ? [] : [`(${where.trim()})`]),
  ]
  return `SELECT ${listedFields} FROM devices${conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`}`
}

/** A fault of the query as one of the condition, with its place in what was typed: the rest of the query nobody sees. */
export function conditionFault(error: unknown, query: string, where: string): unknown {
  if (!(error instanceof CallFault) || error.status !== 400 || where.trim() === '') return error
  const before = query.lastIndexOf(where.trim())
  const message = error.message
    .replace('the query', 'the condition')
    .replace(/at character (\d+)/, (_, place: string) => `at character ${Math.max(Number(place) - before, 0) + 1}`)
  return new CallFault(error.status, error.code, message)
}
