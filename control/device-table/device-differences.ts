import { compareIds } from '#schemas/identity-id.ts'
import { fingerprintOf } from './device-record.ts'
import type { DeviceKey, DeviceRecord, DeviceVersion, StoredDevice } from './device-table.ts'

/** Of an identity that is gone. */
const noFingerprint = ''

/**
 * What the table lacks. Each version is higher than the one that is stored, whatever the clock says, so it counts.
 * @param records and @param stored in order, of the same range of keys
 */
export function deviceDifferences(
  records: readonly DeviceRecord[],
  stored: readonly StoredDevice[],
  nowMs: number,
): DeviceVersion[] {
  const versions: DeviceVersion[] = []
  const add = (key: DeviceKey, record: DeviceRecord | undefined, known: StoredDevice | undefined): void => {
    const fingerprint = record ? fingerprintOf(record) : noFingerprint
    if (known?.fingerprint === fingerprint && known.isDeleted === (record === undefined)) return
    versions.push({ key, record, fingerprint, version: Math.max(nowMs, (known?.version ?? 0) + 1) })
  }
  let [at, knownAt] = [0, 0]
  while (at < records.length || knownAt < stored.length) {
    const record = records[at]
    const known = stored[knownAt]
    const key = record && keyOf(record)
    const order = key === undefined ? 1 : known === undefined ? -1 : compareIds(key, known)
    if (key !== undefined && order <= 0) {
      add(key, record, order === 0 ? known : undefined)
      at++
    } else if (known !== undefined) add({ deviceId: known.deviceId, moduleId: known.moduleId }, undefined, known)
    if (order >= 0) knownAt++
  }
  return versions
}

export function keyOf({ device_id, module_id }: DeviceRecord): DeviceKey {
  return { deviceId: device_id, moduleId: module_id }
}
