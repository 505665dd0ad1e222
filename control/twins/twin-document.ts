/** Twins as services and devices read them. */
import { argumentFault } from '#control/identities/identity.ts'
import { isObject } from '#control/rest/json-body.ts'
import { limits } from '#schemas/limits.ts'
import { checkSize, sectionFrom } from './patch-json.ts'
import { type Json, type JsonObject, metadataOf, type Section } from './section.ts'
import type { Twin, TwinPatch } from './twins.ts'

/** What a document of the hub says of a twin beside its identity. */
export interface TwinPart {
  readonly etag: string
  readonly version: number
  readonly tags: JsonObject
  readonly properties: { readonly desired: JsonObject; readonly reported: JsonObject }
  readonly configurations: JsonObject
}

export function twinPart(
  { version, etag, tags, desired, reported, configurations }: Twin,
  createdAtMs: number,
): TwinPart {
  return {
    etag: etagText(etag),
    version,
    tags,
    properties: {
      desired: shown(desired, metadataOf(desired, createdAtMs, true)),
      reported: shown(reported, metadataOf(reported, createdAtMs, false)),
    },
    configurations,
  }
}

/** The hub's own form: eight bytes in base64, `AAAAAAAAAAE=` at first. */
export function etagText(etag: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(etag))
  return bytes.toString('base64')
}

/** What the device reads: no tags, and when keys changed is of no use to it. */
export function deviceTwinText(desired: Section, reported: Section): string {
  return `{"desired":${withVersion(desired.value, desired.version)},"reported":${withVersion(reported.value, reported.version)}}`
}

/** JSON with `$version`, without which one of the hub's clients does not take a patch. */
export function withVersion(value: JsonObject, version: number): string {
  const text = JSON.stringify(value)
  return text === '{}' ? `{"$version":${version}}` : `${text.slice(0, -1)},"$version":${version}}`
}

/** Reads what a service writes; reported properties, and whatever else it read before, are left aside. @throws TWIN_INVALID */
export function twinPatchFrom(document: unknown): TwinPatch {
  if (!isObject(document)) throw argumentFault('the body must be a JSON object')
  const properties = isObject(document.properties) ? document.properties : {}
  const section = (value: unknown, what: string): JsonObject | undefined =>
    value === undefined || value === null ? undefined : sectionFrom(value as Json, what)
  const tags = section(document.tags, 'tags')
  const desired = section(properties.desired, 'properties.desired')
  return { ...(tags === undefined ? {} : { tags }), ...(desired === undefined ? {} : { desired }) }
}

/** Reads what a twin that is still to be made begins with. @throws TWIN_INVALID */
export function initialTwinFrom(document: unknown): TwinPatch {
  const patch = twinPatchFrom(document)
  checkSize(JSON.stringify(patch.tags ?? {}), limits.twinTagsBytesMax, 'tags')
  checkSize(JSON.stringify(patch.desired ?? {}), limits.twinPropertiesBytesMax, 'properties.desired')
  return patch
}

function shown({ value, version }: Section, $metadata: JsonObject): JsonObject {
  return { ...value, $metadata, $version: version }
}
