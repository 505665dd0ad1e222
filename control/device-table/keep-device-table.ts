/**
 * Keeps the table of devices as the control store has them.
 *
 *   told of a change ──▶ these devices, read of both ──▶ what differs is put     within a second or two
 *   a pass           ──▶ page by page, read of both  ──▶ what differs is put     whatever was missed, in the end all that there is
 *
 * Both sides are compared, so nothing has to be remembered: not which changes were told, nor which inserts came to be stored. After a start,
 * after the warehouse was away, and where its table was lost or is an old copy, the next pass finds what is missing.
 */
import type { Changes } from '#control/store/changes.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { repeating } from '#runtime/repeating.ts'
import { compareIds } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { deviceDifferences, keyOf } from './device-differences.ts'
import type { DeviceKey, DeviceRecord, DeviceRecords, DeviceTable, DeviceVersion } from './device-table.ts'

export interface DeviceTableTools {
  readonly records: DeviceRecords
  readonly table: DeviceTable
  readonly changes: Changes
  /** Whether it is this process that keeps the table. */
  readonly holds: () => Promise<boolean>
  readonly metrics: Metrics<MetricName>
  readonly clock: Clock
  readonly logger: Logger
}

/** @returns ends it, and resolves when nothing is under way */
export function keepDeviceTable(tools: DeviceTableTools): () => Promise<void> {
  const keeper = new DeviceTableKeeper(tools)
  const unlisten = tools.changes.onChange((change) => {
    if (change.kind === 'identities') keeper.told(change.changes.map(({ deviceId }) => deviceId))
  })
  const end = repeating(tools.clock, (signal) => keeper.work(signal))
  return async () => {
    unlisten()
    await end()
  }
}

const first: DeviceKey = { deviceId: '', moduleId: '' }

export class DeviceTableKeeper {
  readonly #tools: DeviceTableTools
  #told = new Set<string>()
  #nextPassMonotonicMs: number
  #failures = 0

  constructor(tools: DeviceTableTools) {
    this.#tools = tools
    this.#nextPassMonotonicMs = tools.clock.monotonicMs()
  }

  /** Of these devices something changed. */
  told(deviceIds: readonly string[]): void {
    // What finds no room is found by the next pass.
    for (const deviceId of deviceIds) if (this.#told.size < limits.deviceTableToldMax) this.#told.add(deviceId)
  }

  /** Does what is due. Never rejects. @returns the pause until the next time, ms */
  async work(signal: AbortSignal): Promise<number> {
    const { clock, holds, logger } = this.#tools
    try {
      const isDue = clock.monotonicMs() >= this.#nextPassMonotonicMs
      if (!isDue && this.#told.size === 0) return limits.deviceTableToldMs
      if (await holds()) await (isDue ? this.#passInTurn(signal) : this.#settleTold())
      else {
        // Whoever holds it is told, too.
        this.#told = new Set()
        this.#rest(0)
      }
      if (this.#failures >= limits.tableQuietFailures) logger.info('the table of devices is kept again')
      this.#failures = 0
      return limits.deviceTableToldMs
    } catch (error) {
      // Whatever it is, the registry is served beside it.
      const level = ++this.#failures === limits.tableQuietFailures ? 'warn' : 'debug'
      logger[level]('the table of devices is not up to date; trying again', { error })
      this.#nextPassMonotonicMs = clock.monotonicMs()
      return limits.deviceTablePauseMs
    }
  }

  async #passInTurn(signal: AbortSignal): Promise<void> {
    const { clock, metrics } = this.#tools
    // A pass reads them as well.
    this.#told = new Set()
    const begunMs = clock.monotonicMs()
    await this.pass(signal)
    const tookMs = clock.monotonicMs() - begunMs
    metrics.series('penstock_registry_device_table_pass_seconds').set(tookMs / 1_000)
    this.#rest(tookMs)
  }

  #rest(passMs: number): void {
    const pauseMs = Math.max(limits.deviceTablePauseMs, passMs * limits.deviceTablePauseFactor)
    this.#nextPassMonotonicMs = this.#tools.clock.monotonicMs() + pauseMs
  }

  async #settleTold(): Promise<void> {
    const { records, table, clock } = this.#tools
    const deviceIds = [...this.#told].slice(0, limits.deviceTablePageMax)
    for (const deviceId of deviceIds) this.#told.delete(deviceId)
    const [found, stored] = await Promise.all([records.of(deviceIds), table.storedOf(deviceIds)])
    await this.#put(deviceDifferences(found, stored, clock.nowMs()))
  }

  /** Compares all identities. @throws STORE_UNAVAILABLE, WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
  async pass(signal: AbortSignal): Promise<void> {
    const { holds } = this.#tools
    let [after, versions, bytes]: [DeviceKey | undefined, DeviceVersion[], number] = [first, [], 0]
    while (after !== undefined && !signal.aborted) {
      const page: DevicePage = await this.#page(after)
      versions.push(...page.versions)
      bytes += page.versions.reduce((sum, { record }) => sum + String(record?.tags_json ?? '').length, 0)
      after = page.upTo
      const isFull = versions.length >= limits.deviceVersionsAtOnceMax || bytes >= limits.deviceVersionsBytesMax
      if (!isFull) continue
      await this.#put(versions)
      ;[versions, bytes] = [[], 0]
      if (!(await holds())) return
    }
    await this.#put(versions)
  }

  /** One page of both: as far as both were read. */
  async #page(after: DeviceKey): Promise<DevicePage> {
    const { records, table, clock } = this.#tools
    const countMax = limits.deviceTablePageMax
    const found = await records.page(after, countMax)
    const lastFound = found.at(-1)
    const foundTo = found.length < countMax || lastFound === undefined ? undefined : keyOf(lastFound)
    const stored = await table.stored(after, foundTo, countMax)
    const lastStored = stored.at(-1)
    const upTo = stored.length < countMax || lastStored === undefined ? foundTo : lastStored
    return { upTo, versions: deviceDifferences(within(found, upTo), stored, clock.nowMs()) }
  }

  async #put(versions: readonly DeviceVersion[]): Promise<void> {
    const { table, metrics } = this.#tools
    if (versions.length === 0) return
    await table.put(versions)
    metrics.series('penstock_registry_device_table_rows_total').add(versions.length)
  }
}

interface DevicePage {
  readonly versions: readonly DeviceVersion[]
  /** `undefined`: it was the last one. */
  readonly upTo: DeviceKey | undefined
}

function within(records: readonly DeviceRecord[], upTo: DeviceKey | undefined): readonly DeviceRecord[] {
  return upTo === undefined ? records : records.filter((record) => compareIds(keyOf(record), upTo) <= 0)
}
