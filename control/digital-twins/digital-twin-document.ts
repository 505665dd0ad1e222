/**
 * A digital twin: the same twin, as the models of devices see it. Desired and reported properties are one, and components are objects with
 * metadata of their own.
 *
 *   desired   {"thermostat1":{"__t":"c","target":21}}
 *   reported  {"serial":"a","thermostat1":{"__t":"c","target":{"value":20,"ac":200,"av":4,"ad":"done"}}}
 *   ─▶        {"$dtId":"d","serial":"a","thermostat1":{"target":20,"$metadata":{"target":{"desiredValue":21,"desiredVersion":5,
 *               "ackVersion":4,"ackCode":200,"ackDescription":"done","lastUpdateTime":…}}},"$metadata":{"$model":"dtmi:…","serial":{…}}}
 *
 * Source: “Understand IoT Plug and Play digital twins” and “IoT Plug and Play conventions” of the hub's documentation.
 */
import { isObject, type JsonObject } from '#control/rest/json-body.ts'

/** The sections of a twin as services read them, each with its `$metadata`. */
export interface TwinSections {
  readonly desired: JsonObject
  readonly reported: JsonObject
}

/** What marks an object in a section as a component. */
export const componentMark = { __t: 'c' } as const

/** Reads own keys only: names are a caller's data. */
export function valueIn(object: unknown, key: string): unknown {
  return isObject(object) && Object.hasOwn(object, key) ? object[key] : undefined
}

export function isComponent(value: unknown): value is JsonObject {
  return valueIn(value, '__t') === componentMark.__t
}

/** @param modelId that the device announced; `undefined`: none */
export function digitalTwinDocument(
  id: string,
  modelId: string | undefined,
  { desired, reported }: TwinSections,
): JsonObject {
  const properties: string[] = []
  const components: [string, unknown][] = []
  for (const name of namesIn(desired, reported)) {
    const [wanted, told] = [valueIn(desired, name), valueIn(reported, name)]
    if (!isComponent(wanted) && !isComponent(told)) properties.push(name)
    else components.push([name, partOf(sectionOf(desired, name), sectionOf(reported, name))])
  }
  const [desiredMetadata, reportedMetadata] = [valueIn(desired, '$metadata'), valueIn(reported, '$metadata')]
  const root = partOf(
    { value: picked(desired, properties), metadata: desiredMetadata },
    { value: picked(reported, properties), metadata: reportedMetadata },
    modelId === undefined ? {} : { $model: modelId },
  )
  return { $dtId: id, ...Object.fromEntries(components), ...root }
}

interface PartSection {
  readonly value: JsonObject
  /** `$metadata` of these values. */
  readonly metadata: unknown
}

function sectionOf(section: JsonObject, name: string): PartSection {
  const value = valueIn(section, name)
  return { value: isComponent(value) ? value : {}, metadata: valueIn(valueIn(section, '$metadata'), name) }
}

/** The root, or a component. */
function partOf(desired: PartSection, reported: PartSection, about: JsonObject = {}): JsonObject {
  const values: [string, unknown][] = []
  const metadata: [string, unknown][] = []
  for (const name of namesIn(desired.value, reported.value)) {
    const told = acknowledgementIn(valueIn(reported.value, name))
    if (told.value !== undefined) values.push([name, told.value])
    metadata.push([name, { ...wantedOf(desired, name), ...told.metadata, ...lastUpdateOf(reported, name) }])
  }
  return { ...Object.fromEntries(values), $metadata: { ...about, ...Object.fromEntries(metadata) } }
}

function wantedOf({ value, metadata }: PartSection, name: string): JsonObject {
  const desiredValue = valueIn(value, name)
  if (desiredValue === undefined) return {}
  return { desiredValue, desiredVersion: valueIn(valueIn(metadata, name), '$lastUpdatedVersion') }
}

function lastUpdateOf({ value, metadata }: PartSection, name: string): JsonObject {
  if (valueIn(value, name) === undefined) return {}
  return { lastUpdateTime: valueIn(valueIn(metadata, name), '$lastUpdated') }
}

/** What a device reports of a property that services may write: its value, and which version of it came into force how. */
function acknowledgementIn(told: unknown): { readonly value: unknown; readonly metadata: JsonObject } {
  const [value, ackCode, ackVersion] = ['value', 'ac', 'av'].map((key) => valueIn(told, key))
  if (value === undefined || (ackCode === undefined && ackVersion === undefined)) return { value: told, metadata: {} }
  const known = { ackVersion, ackCode, ackDescription: valueIn(told, 'ad') }
  return { value, metadata: Object.fromEntries(Object.entries(known).filter(([, item]) => item !== undefined)) }
}

function namesIn(...objects: readonly JsonObject[]): Set<string> {
  const names = objects.flatMap((object) => Object.keys(object))
  return new Set(names.filter((name) => !name.startsWith('$') && name !== '__t'))
}

function picked(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.flatMap((name) => (Object.hasOwn(object, name) ? [[name, object[name]]] : [])))
}
