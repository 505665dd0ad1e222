import { statfsSync } from 'node:fs'
import type { DeliveryReport, DeliveryState, DiskRoom, UnknownPart } from '#control/delivery/delivery.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { groupOnTopic } from '#schemas/log-topics.ts'
import type { Settings } from '#schemas/settings.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import type { AskedLogs } from './asked-logs.ts'
import { eventsWanted } from './events.ts'
import type { LetterBook } from './letter-book.ts'
import { letterCounts, logDelivery } from './log-delivery.ts'
import { workerGroup } from './open-role-log.ts'
import { tableSizes, viewReports, warehouseDisks } from './warehouse-state.ts'

/** A part that is not known by then is said not to be. */
export const partMsMax = 5_000
/** However often it is asked, nobody is asked more often than this. */
const keptMs = 2_000

export interface DeliveryStateOptions {
  readonly settings: Settings
  readonly logs: Pick<AskedLogs, 'log'>
  readonly letters: Pick<LetterBook, 'letters'>
  readonly warehouse: Warehouse
  readonly clock: Clock
}

/** Looks at the logs and at ClickHouse itself, so that it knows also of what runs on other machines. */
export class InstallationDelivery implements DeliveryState {
  readonly #options: DeliveryStateOptions
  #latest: { readonly monotonicMs: number; readonly report: Promise<DeliveryReport> } | undefined

  constructor(options: DeliveryStateOptions) {
    this.#options = options
  }

  report(): Promise<DeliveryReport> {
    const monotonicMs = this.#options.clock.monotonicMs()
    if (this.#latest === undefined || monotonicMs - this.#latest.monotonicMs >= keptMs)
      this.#latest = { monotonicMs, report: this.#look() }
    return this.#latest.report
  }

  async #look(): Promise<DeliveryReport> {
    const { settings, logs, letters, warehouse, clock } = this.#options
    const unknown: UnknownPart[] = []
    const nowMs = clock.nowMs()
    const part = <T>(name: string, look: () => Promise<T>) => this.#part(name, look, unknown)
    const withEvents = eventsWanted(settings)
    const deliveryOf = (topic: 'telemetry' | 'events', group: string, table: string) =>
      part(topic, async () => logDelivery(await logs.log(topic), group, `${warehouseDatabase}.${table}`, nowMs))
    const [telemetry, events, deadLetters, views, tables, folder, disks] = await Promise.all([
      deliveryOf('telemetry', workerGroup(settings), 'telemetry'),
      withEvents ? deliveryOf('events', groupOnTopic(workerGroup(settings), 'events'), 'device_events') : undefined,
      part('deadLetters', async () => letterCounts(await letters.letters())),
      part('views', () => viewReports(warehouse, withEvents ? ['telemetry', 'device_events'] : ['telemetry'])),
      part('tables', () => tableSizes(warehouse)),
      part('disks', () => folderRoom(settings.dataDir)),
      part('disks', () => warehouseDisks(warehouse)),
    ])
    const known = [folder ?? [], disks ?? []].flat()
    return {
      atMs: nowMs,
      telemetry,
      events,
      deadLetters,
      views,
      tables,
      disks: known.length === 0 ? undefined : known,
      retention: {
        logHours: settings.logRetentionHours,
        logMegabytesPerPartition: settings.logRetentionMegabytes,
        telemetryDays: settings.telemetryTtlDays,
      },
      unknown,
    }
  }

  async #part<T>(part: string, look: () => Promise<T>, unknown: UnknownPart[]): Promise<T | undefined> {
    const given = new AbortController()
    const late = sleep(this.#options.clock, partMsMax, given.signal).then(() => 'late' as const)
    try {
      const found = await Promise.race([look().then((value) => ({ value })), late])
      if (found !== 'late') return found.value
      unknown.push({ part, reason: `no answer within ${partMsMax / 1_000} s` })
    } catch (error) {
      if (!isPenstockError(error)) throw error
      unknown.push({ part, reason: error.message })
    } finally {
      given.abort()
    }
    return undefined
  }
}

async function folderRoom(folder: string): Promise<DiskRoom[]> {
  const { bavail, blocks, bsize } = statfsSync(folder)
  return [{ name: 'data folder', freeBytes: bavail * bsize, totalBytes: blocks * bsize }]
}
