/** Configurations as services write them. */
import { isStorableText } from '#control/identities/identity.ts'
import { isObject, type JsonObject, jsonFrom } from '#control/rest/json-body.ts'
import { isWithinDepth } from '#runtime/json-depth.ts'
import { limits } from '#schemas/limits.ts'
import { type ConfigurationContent, configurationIdRule, isConfigurationId } from './configurations.ts'
import { configurationFault, desiredFrom } from './desired-content.ts'

/** How the texts in a configuration are checked. */
export interface QueryChecks {
  /** @throws REGISTRY_QUERY_INVALID */
  checkCondition(condition: string): void
  /** @throws REGISTRY_QUERY_INVALID where its results cannot be counted */
  checkCountable(query: string): void
}

/** Around the content: what twins have, and metadata that clients send back. */
const bodyDepthMax = limits.twinDepthMax + 8

/**
 * Reads `{"id","schemaVersion","labels","content":{"deviceContent"},"targetCondition","priority","metrics":{"queries"}}`; what a client sends
 * back of what it read is left aside.
 * @throws CONFIGURATION_INVALID, REGISTRY_BODY_MALFORMED, REGISTRY_QUERY_INVALID, TWIN_INVALID
 */
export function readConfiguration(id: string, body: Uint8Array, checks: QueryChecks): ConfigurationContent {
  const document = objectOf(body)
  if (!isConfigurationId(id)) throw configurationFault(`the id of a configuration must be ${configurationIdRule}`)
  if (document.id !== undefined && document.id !== null && document.id !== id)
    throw configurationFault('id differs from the path')
  const deviceContent = deviceContentFrom(document.content)
  return {
    id,
    schemaVersion: textOf(document.schemaVersion ?? '1.0', 'schemaVersion'),
    labels: textsOf(document.labels, 'labels', limits.configurationLabelsMax),
    deviceContent,
    desired: desiredFrom(deviceContent, 'deviceContent'),
    condition: conditionFrom(document.targetCondition, checks),
    priority: priorityFrom(document.priority ?? 0),
    metrics: metricsFrom(document.metrics, checks),
  }
}

/** @throws CONFIGURATION_INVALID, REGISTRY_BODY_MALFORMED */
export function objectOf(body: Uint8Array): JsonObject {
  if (!isWithinDepth(body, bodyDepthMax)) throw configurationFault(`the body nests deeper than ${bodyDepthMax}`)
  const document = jsonFrom(body)
  if (!isObject(document)) throw configurationFault('the body must be a JSON object')
  return document
}

function deviceContentFrom(value: unknown): JsonObject {
  const content = isObject(value) ? value : {}
  for (const kind of ['modulesContent', 'moduleContent']) {
    const given = content[kind]
    if (isObject(given) && Object.keys(given).length > 0)
      throw configurationFault(`content.${kind} is not offered; deviceContent is`)
  }
  if (!isObject(content.deviceContent)) throw configurationFault('content must have an object deviceContent')
  return content.deviceContent
}

function conditionFrom(value: unknown, { checkCondition }: QueryChecks): string {
  const condition = value === undefined || value === null ? '' : value
  if (typeof condition !== 'string')
    throw configurationFault(
      'targetCondition must be what stands behind WHERE in a query of devices, * for all, or empty for none',
    )
  if (condition.trim() !== '') checkCondition(condition)
  return condition.trim()
}

function priorityFrom(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31) return value
  throw configurationFault('priority must be a whole number from 0; the greater one counts')
}

function metricsFrom(value: unknown, { checkCountable }: QueryChecks): Readonly<Record<string, string>> {
  const queries = textsOf(
    isObject(value) ? value.queries : undefined,
    'metrics.queries',
    limits.configurationMetricsMax,
  )
  for (const query of Object.values(queries)) checkCountable(query)
  return queries
}

function textsOf(value: unknown, what: string, countMax: number): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {}
  if (!isObject(value)) throw configurationFault(`${what} must be a JSON object of texts`)
  const entries = Object.entries(value)
  if (entries.length > countMax) throw configurationFault(`${what} has more than ${countMax} entries`)
  return Object.fromEntries(entries.map(([key, text]) => [textOf(key, what), textOf(text, `${what}.${key}`)]))
}

function textOf(value: unknown, what: string): string {
  if (typeof value === 'string' && Buffer.byteLength(value) <= limits.queryBytesMax && isStorableText(value))
    return value
  throw configurationFault(`${what} must be a text of at most ${limits.queryBytesMax} bytes`)
}
