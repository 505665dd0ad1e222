/**
 * Paths as SQL expressions: of identities and twins, over identities `i`, their presence `p` and their twins `t`; of device jobs, over
 * these `d` and their jobs `j`.
 */
import { isConfigurationId } from '#control/configurations/configurations.ts'
import { deviceStatusSql } from '#control/jobs/device-job-rows.ts'
import type { SqlValue } from '#control/store/database.ts'
import type { QuerySource } from './query-tree.ts'

export type ColumnType = 'text' | 'boolean' | 'time' | 'number'

/** A column, or a path into a document of a twin. */
export type Field =
  | { readonly type: ColumnType; readonly sql: string }
  | { readonly type: 'json'; readonly column: string; readonly keys: readonly string[] }

/** By lower-case name. */
const fields: Readonly<Record<string, Field>> = {
  deviceid: { type: 'text', sql: 'i.device_id' },
  moduleid: { type: 'text', sql: `nullif(i.module_id, '')` },
  generationid: { type: 'text', sql: 'i.generation_id' },
  status: { type: 'text', sql: 'i.status' },
  statusreason: { type: 'text', sql: 'i.status_reason' },
  statusupdatetime: { type: 'time', sql: 'i.status_updated_at' },
  statusupdatedtime: { type: 'time', sql: 'i.status_updated_at' },
  authenticationtype: { type: 'text', sql: 'i.authentication' },
  connectionstate: { type: 'text', sql: `CASE WHEN p.connected THEN 'Connected' ELSE 'Disconnected' END` },
  connectionstateupdatedtime: { type: 'time', sql: 'p.connection_updated_at' },
  lastactivitytime: { type: 'time', sql: 'p.last_activity_at' },
  // As the twin shows it.
  modelid: { type: 'text', sql: `coalesce(p.model_id, '')` },
  devicescope: { type: 'text', sql: 'i.device_scope' },
  managedby: { type: 'text', sql: 'i.managed_by' },
  etag: { type: 'text', sql: `encode(int8send(coalesce(t.etag, 1)), 'base64')` },
  deviceetag: { type: 'text', sql: 'i.etag' },
  'capabilities.iotedge': { type: 'boolean', sql: 'i.iot_edge' },
  version: { type: 'number', sql: 'coalesce(t.version, 2)::float8' },
  'properties.desired.$version': { type: 'number', sql: 'coalesce(t.desired_version, 1)::float8' },
  'properties.reported.$version': { type: 'number', sql: 'coalesce(t.reported_version, 1)::float8' },
}

const sections = { tags: 't.tags', 'properties.desired': 't.desired', 'properties.reported': 't.reported' } as const

const jobFields: Readonly<Record<string, Field>> = {
  deviceid: { type: 'text', sql: 'd.device_id' },
  jobid: { type: 'text', sql: 'd.job_id' },
  jobtype: { type: 'text', sql: 'j.type' },
  status: { type: 'text', sql: deviceStatusSql },
  starttimeutc: { type: 'time', sql: 'd.started_at' },
  endtimeutc: { type: 'time', sql: 'd.ended_at' },
  createddatetimeutc: { type: 'time', sql: 'd.created_at' },
  lastupdateddatetimeutc: { type: 'time', sql: 'd.updated_at' },
  'outcome.devicemethodresponse.status': { type: 'number', sql: 'd.method_status::float8' },
  'error.code': { type: 'text', sql: 'd.error_code' },
}

function jobFieldOf(path: string): Field | undefined {
  const lower = path.toLowerCase().replace(/^devices\.jobs\./, '')
  return Object.hasOwn(jobFields, lower) ? jobFields[lower] : undefined
}

/** @param id `isConfigurationId`: of characters that mean nothing within a text of SQL */
function configurationStatusSql(id: string): string {
  return `(SELECT CASE WHEN d.number IS NULL THEN 'Targeted' ELSE 'Applied' END
    FROM penstock.configurations c JOIN penstock.configuration_targets ct ON ct.number = c.number
      LEFT JOIN penstock.configuration_devices d ON d.device_id = ct.device_id AND d.number = ct.number AND NOT d.is_refused
    WHERE c.id = '${id}' AND NOT c.is_deleted AND ct.device_id = i.device_id AND i.module_id = '')`
}

/** `undefined`: no identity has it. */
function twinFieldOf(path: string): Field | undefined {
  const plain = path.toLowerCase().startsWith('devices.') ? path.slice('devices.'.length) : path
  const lower = plain.toLowerCase()
  if (Object.hasOwn(fields, lower)) return fields[lower]
  const configuration = /^configurations\.\[\[(.+)\]\]\.status$/i.exec(plain)?.[1]
  if (configuration !== undefined)
    return isConfigurationId(configuration) ? { type: 'text', sql: configurationStatusSql(configuration) } : undefined
  for (const [section, column] of Object.entries(sections)) {
    if (lower === section) return { type: 'json', column, keys: [] }
    if (lower.startsWith(`${section}.`))
      return { type: 'json', column, keys: plain.slice(section.length + 1).split('.') }
  }
  return undefined
}

/** The value of a field; NULL where it is undefined. */
export function sqlOf(field: Field, parameters: Parameters): string {
  if (field.type !== 'json') return field.sql
  const { column, keys } = field
  return keys.length === 0 ? `coalesce(${column}, '{}')` : `(${column} #> ${parameters.addKeys(keys)}::text[])`
}

/** What a statement needs besides its text: which fields its paths are, and its parameters, of which `add` gives the placeholder. */
export class Parameters {
  readonly values: SqlValue[] = []
  readonly #keys = new Map<string, string>()
  /** `undefined`: nothing that is asked about has it. */
  readonly fieldOf: (path: string) => Field | undefined

  constructor(source: QuerySource) {
    this.fieldOf = source === 'devices.jobs' ? jobFieldOf : twinFieldOf
  }

  add(value: SqlValue): string {
    this.values.push(value)
    return `$${this.values.length}`
  }

  /** The same keys have the same placeholder: only then is an expression that is grouped by the one that is selected. */
  addKeys(keys: readonly string[]): string {
    const path = keys.join('.')
    const placeholder = this.#keys.get(path) ?? this.add(keys)
    this.#keys.set(path, placeholder)
    return placeholder
  }
}
