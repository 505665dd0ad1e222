/** What is told of changed twins, in the hub's words. */
import { limits } from '#schemas/limits.ts'
import { type JsonObject, stampedPatch } from './section.ts'
import { twinPart } from './twin-document.ts'
import type { IdentityTwin, Twin, TwinPatch } from './twins.ts'

/** A service's patch of the twin as it is now. */
export function toldUpdate({ version, desired }: Twin, patch: TwinPatch, atMs: number): string {
  return textWithin((hasMetadata) => ({
    version,
    ...(patch.tags === undefined ? {} : { tags: patch.tags }),
    ...(patch.desired === undefined
      ? {}
      : { properties: { desired: section(stampedPatch(patch.desired, [atMs, desired.version], true), hasMetadata) } }),
  }))
}

/** All of a twin of which sections were replaced. */
export function toldTwin({ identity, twin }: IdentityTwin): string {
  const { deviceId, moduleId, createdAtMs } = identity
  const { properties, ...rest } = twinPart(twin, createdAtMs)
  return textWithin((hasMetadata) => ({
    deviceId,
    ...(moduleId === undefined ? {} : { moduleId }),
    ...rest,
    properties: {
      desired: section(properties.desired, hasMetadata),
      reported: section(properties.reported, hasMetadata),
    },
  }))
}

/**
 * Of each of the patches that were committed together.
 * @param lines a patch each @param version of the twin, and @param reportedVersion of its section, after the last
 */
export function reportedEvents(lines: string, version: number, reportedVersion: number, atMs: number): string[] {
  const patches = lines.split('\n')
  return patches.map((line, index) => {
    const behind = patches.length - 1 - index
    const patch = stampedPatch(JSON.parse(line), [atMs, reportedVersion - behind], false)
    return textWithin((hasMetadata) => ({
      version: version - behind,
      properties: { reported: section(patch, hasMetadata) },
    }))
  })
}

/** When each of many short keys changed takes more room than the keys: it is left out where a message would not hold it. */
function textWithin(document: (hasMetadata: boolean) => object): string {
  const text = JSON.stringify(document(true))
  return text.length * 3 <= limits.bodyBytesMax || Buffer.byteLength(text) <= limits.bodyBytesMax
    ? text
    : JSON.stringify(document(false))
}

function section(stamped: JsonObject, hasMetadata: boolean): JsonObject {
  if (hasMetadata) return stamped
  const { $metadata, ...rest } = stamped
  return rest
}
