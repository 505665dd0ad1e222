import type {
  DeviceKey,
  DeviceRecord,
  DeviceTable,
  DeviceVersion,
  StoredDevice,
} from '#control/device-table/device-table.ts'
import type { Warehouse, WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import { deviceColumns } from '#schemas/analyst-tables.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'

const table = `${warehouseDatabase}.device_versions`
const columns = Object.entries(deviceColumns)

/** A time comes as milliseconds since 1970. */
const isTime = (type: string): boolean => type.includes('DateTime64')

const inputType = (type: string): string => (isTime(type) ? type.replace(/DateTime64\([^)]*\)/, 'Int64') : type)

const insert =
  `INSERT INTO ${table} (${columns.map(([name]) => name).join(', ')}, fingerprint, is_deleted, version) SELECT ` +
  columns.map(([name, type]) => (isTime(type) ? `fromUnixTimestamp64Milli(${name}, 'UTC')` : name)).join(', ') +
  ', fingerprint, is_deleted, version ' +
  `FROM input('${columns.map(([name, type]) => `${name} ${inputType(type)}`).join(', ')}, ` +
  "fingerprint String, is_deleted Bool, version UInt64') FORMAT JSONEachRow"

const select =
  `SELECT device_id, module_id, fingerprint, is_deleted, version FROM ${table} FINAL WHERE ` +
  // The first condition is what the index of the table can use.
  'device_id >= {device:String} AND (device_id, module_id) > ({device:String}, {module:String})'

/** `penstock.device_versions`. What is refused, is so while the table does not exist. */
export class ClickhouseDeviceTable implements DeviceTable {
  readonly #warehouse: Warehouse

  constructor(warehouse: Warehouse) {
    this.#warehouse = warehouse
  }

  async stored(after: DeviceKey, upTo: DeviceKey | undefined, countMax: number): Promise<readonly StoredDevice[]> {
    const end =
      upTo === undefined
        ? ''
        : ' AND device_id <= {deviceTo:String} AND (device_id, module_id) <= ({deviceTo:String}, {moduleTo:String})'
    const rows = await this.#warehouse.query(`${select}${end} ORDER BY device_id, module_id LIMIT ${countMax}`, {
      device: after.deviceId,
      module: after.moduleId,
      ...(upTo === undefined ? {} : { deviceTo: upTo.deviceId, moduleTo: upTo.moduleId }),
    })
    return rows.map(storedFromRow)
  }

  async storedOf(deviceIds: readonly string[]): Promise<readonly StoredDevice[]> {
    const rows = await this.#warehouse.query(
      `SELECT device_id, module_id, fingerprint, is_deleted, version FROM ${table} FINAL ` +
        'WHERE device_id IN (SELECT arrayJoin(JSONExtract({devices:String}, ' +
        "'Array(String)'))) ORDER BY device_id, module_id",
      { devices: JSON.stringify(deviceIds) },
    )
    return rows.map(storedFromRow)
  }

  async put(versions: readonly DeviceVersion[]): Promise<void> {
    for (const { key, record } of versions)
      assert(
        record === undefined || (record.device_id === key.deviceId && record.module_id === key.moduleId),
        'a version is of the device under whose key it is kept',
      )
    const lines = versions.map(({ key, record, fingerprint, version }) => {
      const row = record ?? deletedRecord(key)
      return JSON.stringify({ ...row, fingerprint, is_deleted: record === undefined, version })
    })
    await this.#warehouse.insert(insert, [Buffer.from(`${lines.join('\n')}\n`)], { async_insert: '0' })
  }
}

function deletedRecord({ deviceId, moduleId }: DeviceKey): Pick<DeviceRecord, 'device_id' | 'module_id'> {
  return { device_id: deviceId, module_id: moduleId }
}

function storedFromRow(row: WarehouseRow): StoredDevice {
  const version = Number(row.version)
  assert(Number.isSafeInteger(version), 'a version in the table of devices is a number')
  return {
    deviceId: String(row.device_id),
    moduleId: String(row.module_id),
    fingerprint: String(row.fingerprint),
    isDeleted: Boolean(row.is_deleted),
    version,
  }
}
