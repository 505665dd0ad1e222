/** The hub's query of a page of devices. */
import { queryText } from '#console/data/devices.ts'

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
  return conditions.length === 0 ? 'SELECT * FROM devices' : `SELECT * FROM devices WHERE ${conditions.join(' AND ')}`
}
