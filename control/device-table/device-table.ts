/**
 * The port of the table that analysts join: what the control store says of devices and modules, as rows of the warehouse.
 *
 * The table only grows versions. Of an identity the version with the highest number counts, so nothing that arrives late, or twice, undoes
 * what is newer.
 */
import type { deviceColumns } from '#schemas/analyst-tables.ts'

/** A row of `penstock.devices`, as JSON for ClickHouse: times are milliseconds since 1970. */
export type DeviceRecord = Readonly<
  Record<keyof typeof deviceColumns, string | number | boolean | null | Readonly<Record<string, string>>>
> & { readonly device_id: string; readonly module_id: string }

/** In the order of the table: by device, then by module; a device itself has the module ''. */
export interface DeviceKey {
  readonly deviceId: string
  readonly moduleId: string
}

/** What the table says of an identity, as far as it takes to compare. */
export interface StoredDevice extends DeviceKey {
  readonly fingerprint: string
  readonly isDeleted: boolean
  readonly version: number
}

/** A row to add. */
export interface DeviceVersion {
  /** Of an identity that is gone: `undefined` but for its key. */
  readonly record: DeviceRecord | undefined
  readonly key: DeviceKey
  readonly fingerprint: string
  readonly version: number
}

/** @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED (also while the table does not exist yet) */
export interface DeviceTable {
  /** Behind `after`, up to `upTo` where that is given, in order, those that are deleted too. */
  stored(after: DeviceKey, upTo: DeviceKey | undefined, countMax: number): Promise<readonly StoredDevice[]>
  /** Of these devices and all their modules. */
  storedOf(deviceIds: readonly string[]): Promise<readonly StoredDevice[]>
  /** May be repeated, and may have been done where it rejects. */
  put(versions: readonly DeviceVersion[]): Promise<void>
}

/** What the control store says. @throws STORE_UNAVAILABLE */
export interface DeviceRecords {
  /** Behind `after`, in order. */
  page(after: DeviceKey, countMax: number): Promise<readonly DeviceRecord[]>
  /** Of these devices and all their modules. */
  of(deviceIds: readonly string[]): Promise<readonly DeviceRecord[]>
}
