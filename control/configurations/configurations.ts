/**
 * The port of configurations: desired properties for all devices that meet a condition, for as long as they do.
 *
 *   configuration ── condition, looked at in passes ──▶ targets ── of a device the one of the highest priority ──▶ its desired properties
 *
 * Of two of the same priority the newer one counts. A device that meets the condition no more, or gets another configuration, loses what the
 * first one set. Faults of all calls: STORE_UNAVAILABLE (retry).
 */
import type { IfMatch } from '#control/identities/identities.ts'
import type { Queries } from '#control/store/database.ts'
import type { TwinOutcomes } from '#control/twins/twins.ts'

/** Such an id can be named in a query: `configurations.[[id]].status`. */
export const configurationIdRule = '1 to 128 letters, digits or . _ : + % -'

export function isConfigurationId(text: string): boolean {
  return /^[A-Za-z0-9._:+%-]{1,128}$/.test(text)
}

/** Desired properties, nested as in a twin. */
export type DesiredContent = Readonly<Record<string, unknown>>

export interface ConfigurationContent {
  readonly id: string
  readonly schemaVersion: string
  readonly labels: Readonly<Record<string, string>>
  /** The `deviceContent` as it was sent. */
  readonly deviceContent: Readonly<Record<string, unknown>>
  readonly desired: DesiredContent
  /** What stands behind WHERE in a query of devices; `*`: all of them; empty: none. */
  readonly condition: string
  readonly priority: number
  /** Queries whose results are counted, by name. */
  readonly metrics: Readonly<Record<string, string>>
}

export interface Configuration extends ConfigurationContent {
  readonly etag: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
  /** As of the last pass. */
  readonly results: ConfigurationResults
}

export interface ConfigurationResults {
  readonly targeted: number
  readonly applied: number
  /** Of each metric whose query could be answered. */
  readonly metrics: Readonly<Record<string, number>>
}

/** What services do with configurations. */
export interface Configurations {
  /** @throws CONFIGURATION_EXISTS, CONFIGURATIONS_FULL */
  create(content: ConfigurationContent): Promise<Configuration>
  /** All but the content may change. @throws CONFIGURATION_UNKNOWN, CONFIGURATION_INVALID, REGISTRY_ETAG_STALE */
  replace(content: ConfigurationContent, ifMatch: IfMatch): Promise<Configuration>
  /** @throws CONFIGURATION_UNKNOWN, REGISTRY_ETAG_STALE */
  delete(id: string, ifMatch: IfMatch): Promise<void>
  /** @throws CONFIGURATION_UNKNOWN */
  get(id: string): Promise<Configuration>
  /** By id. */
  list(countMax: number): Promise<Configuration[]>
}

/** A configuration as passes see it, also one that was deleted and is still applied somewhere. */
export interface PassConfiguration {
  readonly number: number
  readonly condition: string
  readonly metrics: Readonly<Record<string, string>>
  readonly isDeleted: boolean
}

/** Of the devices whose id is greater than `after` and, unless `upTo` is `undefined`, not greater than that: those that meet a condition. */
export interface TargetPage {
  readonly after: string
  readonly upTo: string | undefined
  readonly deviceIds: readonly string[]
}

export interface AppliedConfiguration {
  readonly number: number
  /** The twin did not take it. */
  readonly isRefused: boolean
}

/** A device whose desired properties are not those of the configuration that counts. */
export interface DeviceChange {
  readonly deviceId: string
  /** What stood of it in the store when this was read; `undefined`: nothing. */
  readonly before: AppliedConfiguration | undefined
  /** What was applied to it; `undefined`: nothing. */
  readonly from: DesiredContent | undefined
  /** `undefined`: no configuration counts any more. */
  readonly to: { readonly number: number; readonly desired: DesiredContent } | undefined
}

/** Another process changed one of these devices since the changes were read: nothing of them may be committed. */
export class Overtaken extends Error {}

/** What whoever applies configurations does. Two may do it at the same time. */
export interface ConfigurationWork {
  /** True once in `limits.configurationPassMs`, and after each change: of several processes for one. Never where there is nothing to apply. */
  beginPass(): Promise<boolean>
  all(): Promise<PassConfiguration[]>
  setTargets(number: number, page: TargetPage): Promise<void>
  /** Those behind `after`, by id; also those whose twin did not take it. */
  unsettled(after: string, countMax: number): Promise<DeviceChange[]>
  /** Inside the transaction that changed the twins. @throws Overtaken */
  settle(queries: Queries, changes: readonly DeviceChange[], outcomes: TwinOutcomes): Promise<void>
  /** Counts targets, and keeps them with the results of metrics; a deleted configuration that is applied nowhere is forgotten. */
  endPass(number: number, metrics: Readonly<Record<string, number>>): Promise<void>
}
