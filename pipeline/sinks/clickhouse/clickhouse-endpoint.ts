/**
 * Messages as rows of any ClickHouse table, exactly once, as `penstock.telemetry` gets them: tokens, and rows under their position.
 * `log_endpoint` names whose position it is, so that several endpoints may fill one table, and one that is made anew begins anew.
 */

import type { DeliveryRange, HeldRange, RowGroup } from '#pipeline/endpoints/delivery-range.ts'
import { EndpointError, type EndpointErrorCode } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { type OutgoingRules, refusalOfAddress } from '#runtime/outgoing-addresses.ts'
import type { ClickhouseSettings } from '#schemas/endpoint-kinds/clickhouse.ts'
import type { EndpointColumn } from '#schemas/endpoint-kinds/field.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { batchTables, deliverySettings, telemetryColumns, warehouseDatabase } from '#schemas/telemetry-table.ts'
import { ClickHouseSink, type ClickHouseTarget } from './clickhouse-sink.ts'

export interface ClickHouseHome {
  readonly url: string
  readonly user: string
  readonly password: string
  readonly replicated: boolean
}

export interface ClickHouseEndpointOptions {
  readonly name: string
  /** Consumer group of the endpoint: names its rows. */
  readonly group: string
  readonly settings: ClickhouseSettings
  /** Of `penstock.telemetry`, for an endpoint that names no server. */
  readonly home: ClickHouseHome
  readonly rules: OutgoingRules
  readonly clock?: Clock
}

/** Makes the table when it is first asked for anything, and again whenever it was not there. */
export class ClickHouseEndpoint implements TableSink {
  readonly atomic = true
  readonly name: string
  readonly insertMsMax = limits.insertRunMsMax
  readonly #options: ClickHouseEndpointOptions
  readonly #warehouse: Warehouse
  readonly #target: ClickHouseTarget
  readonly #sink: ClickHouseSink
  #ready: Promise<void> | undefined

  constructor(options: ClickHouseEndpointOptions) {
    const { name, settings, home, clock = systemClock } = options
    this.name = name
    this.#options = options
    this.#target = targetOf(options)
    const isHome = settings.url === undefined
    this.#warehouse = openWarehouse({
      url: settings.url ?? home.url,
      user: settings.user ?? (isHome ? home.user : 'default'),
      password: settings.password ?? (isHome ? home.password : ''),
      requestMsMax: limits.insertRunMsMax + 30_000,
    })
    this.#sink = new ClickHouseSink(this.#warehouse, this.#target, isHome && home.replicated, clock)
  }

  insert(selected: SelectedRange, token: string, expiresMonotonicMs: number): Promise<void> {
    // The table remembers tokens of all that fill it, and one range of the log may go there by several groups.
    const own = `${this.#options.group}:${token}`
    return this.#asked(() => this.#sink.insert(selected, own, expiresMonotonicMs))
  }

  stored(range: DeliveryRange): Promise<number> {
    return this.#asked(() => this.#sink.stored(range))
  }

  newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined> {
    return this.#asked(() => this.#sink.newest(partition, end, sinceMs))
  }

  async *held(partition: number, from: number, end: number): AsyncGenerator<HeldRange> {
    await this.#asked(async () => {})
    yield* this.#sink.held(partition, from, end)
  }

  async accepts(): Promise<boolean> {
    try {
      return await this.#asked(() => this.#sink.accepts())
    } catch (error) {
      if (isPenstockError(error, 'ENDPOINT_HELD')) return false
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#warehouse.close()
  }

  async #asked<T>(question: () => Promise<T>): Promise<T> {
    try {
      this.#ready ??= this.#prepare()
      await this.#ready
      return await question()
    } catch (error) {
      // Whatever was prepared may be gone.
      this.#ready = undefined
      throw faultOf(error)
    }
  }

  async #prepare(): Promise<void> {
    const { settings, home, rules } = this.#options
    if (settings.url !== undefined) {
      const { hostname, port, protocol } = new URL(settings.url)
      const refusal = refusalOfAddress(hostname, Number(port) || (protocol === 'https:' ? 443 : 80), rules)
      if (refusal !== undefined) throw new EndpointError('ENDPOINT_HELD', refusal, { failure: 'Unauthorized' })
    }
    await this.#warehouse.command(`CREATE DATABASE IF NOT EXISTS ${quoted(settings.database)}`)
    await this.#warehouse.command(
      tableStatement(this.#target, settings.columns, settings.url === undefined && home.replicated),
    )
    await this.#assertRemembers()
    await this.#sink.open()
  }

  /** A table that somebody else made may forget each token at once, and then nothing is exactly once. */
  async #assertRemembers(): Promise<void> {
    const { database, table } = this.#options.settings
    const [row] = await this.#warehouse.query(
      'SELECT engine, engine_full FROM system.tables WHERE database = {database: String} AND name = {table: String}',
      { database, table },
    )
    const engine = String(row?.engine ?? '')
    const remembers =
      engine.startsWith('Replicated') ||
      engine === 'SharedMergeTree' ||
      /\bnon_replicated_deduplication_window = [1-9]/.test(String(row?.engine_full ?? ''))
    if (engine.endsWith('MergeTree') && remembers) return
    throw new EndpointError(
      'ENDPOINT_HELD',
      `${this.#target.table} forgets what was inserted: ALTER TABLE ${this.#target.table} MODIFY SETTING ` +
        `non_replicated_deduplication_window = ${limits.deduplicationWindow}`,
      { failure: 'NotFound' },
    )
  }
}

/** Columns that every table of an endpoint has, beside its own. */
const positionColumns = {
  enqueued_at: telemetryColumns.enqueued_at,
  log_partition: telemetryColumns.log_partition,
  log_offset: telemetryColumns.log_offset,
  log_endpoint: 'LowCardinality(String)',
} as const

function targetOf({ name, group, settings }: ClickHouseEndpointOptions): ClickHouseTarget {
  const isEnvelope = settings.columns === undefined
  const columns = isEnvelope ? envelopeFields : [...settings.columns.map(filledBy), enqueuedAt]
  return {
    name,
    table: `${quoted(settings.database)}.${quoted(settings.table)}`,
    columns: [...columns, ['log_endpoint', `'${group}'`]],
    own: ` AND log_endpoint = '${group}'`,
    ...(isEnvelope ? {} : { names }),
  }
}

const filledBy = ({ name, expression }: EndpointColumn) => [quoted(name), `(${expression})`] as const
const enqueuedAt = ['enqueued_at', 'enqueuedAtMs'] as const
const envelopeFields = [
  ['device_id', 'deviceId'],
  enqueuedAt,
  ['body', 'body'],
  ['properties', 'properties'],
  ['system_properties', 'systemProperties'],
] as const

/** People write expressions over the columns of `penstock.telemetry`; what is read are the fields of envelopes. */
const names = 'WITH deviceId AS device_id, enqueuedAtMs AS enqueued_at, systemProperties AS system_properties '

function tableStatement(
  target: ClickHouseTarget,
  columns: readonly EndpointColumn[] | undefined,
  replicated: boolean,
): string {
  const own = columns?.map(({ name, type }) => `${quoted(name)} ${type}`) ?? [
    `device_id ${telemetryColumns.device_id}`,
    `body ${telemetryColumns.body}`,
    `properties ${telemetryColumns.properties}`,
    `system_properties ${telemetryColumns.system_properties}`,
  ]
  const all = [...own, ...Object.entries(positionColumns).map(([name, type]) => `${name} ${type}`)]
  const settings = Object.entries(deliverySettings(replicated)).map(([name, value]) => `${name} = ${value}`)
  const order =
    columns === undefined || columns.some(({ name }) => name === 'device_id')
      ? '(device_id, enqueued_at)'
      : 'enqueued_at'
  return (
    `CREATE TABLE IF NOT EXISTS ${target.table} (${all.join(', ')}) ` +
    `ENGINE = ${replicated ? 'Replicated' : ''}MergeTree PARTITION BY toDate(enqueued_at) ORDER BY ${order} SETTINGS ${settings.join(', ')}`
  )
}

/** Names are letters, digits and underscores. */
const quoted = (name: string): string => `\`${name}\``

/** Tables of Penstock's own, which nobody else fills. */
export function isOwnTable(database: string, table: string): boolean {
  return database === warehouseDatabase && [...batchTables, 'dead_letters', 'migrations'].includes(table)
}

/** A missing right, database, table or column is nobody's message's fault. Codes: ClickHouse, src/Common/ErrorCodes.cpp */
const heldCodes = /\bcode (16|47|60|81|192|193|194|497|516)\b/i

function faultOf(error: unknown): unknown {
  if (!(error instanceof PenstockError) || error instanceof EndpointError) return error
  if (error.code === 'WAREHOUSE_UNAVAILABLE') return endpointFault('ENDPOINT_UNAVAILABLE', error, 'Transient')
  if (error.code !== 'WAREHOUSE_REFUSED') return error
  if (heldCodes.test(error.message)) return endpointFault('ENDPOINT_HELD', error, 'NotFound')
  return endpointFault('ENDPOINT_REFUSED', error, 'InvalidMessage')
}

function endpointFault(
  code: EndpointErrorCode,
  cause: PenstockError,
  failure: 'Transient' | 'NotFound' | 'InvalidMessage',
) {
  return new EndpointError(code, cause.message, { failure, cause })
}
