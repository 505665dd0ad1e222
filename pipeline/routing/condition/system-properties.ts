import { foldName } from './needs.ts'

/**
 * Where a stored message has a system property: in its map of system properties under that name, in a field of the envelope, or nowhere,
 * since no edge stamps it yet.
 */
export type StoredAs = { readonly systemProperty: string } | 'deviceId' | 'enqueuedAtMs' | 'nowhere'

/** The system properties that the hub documents for conditions, as it spells them. */
const documented: Readonly<Record<string, StoredAs>> = {
  messageId: { systemProperty: 'messageId' },
  correlationId: { systemProperty: 'correlationId' },
  userId: { systemProperty: 'userId' },
  contentType: { systemProperty: 'contentType' },
  contentEncoding: { systemProperty: 'contentEncoding' },
  connectionDeviceId: 'deviceId',
  connectionModuleId: { systemProperty: 'moduleId' },
  connectionDeviceGenerationId: 'nowhere',
  connectionAuthMethod: 'nowhere',
  enqueuedTime: 'enqueuedAtMs',
  'creation-time-utc': { systemProperty: 'creationTime' },
  'dt-subject': { systemProperty: 'subject' },
  'dt-dataschema': { systemProperty: 'modelId' },
  'iothub-interface-id': { systemProperty: 'interfaceId' },
}

/** Undocumented, and stored under these names. */
const othersStored: ReadonlySet<string> = new Set(['to', 'expiry', 'outputName', 'topic'].map(foldName))

/** How conditions spell them, without the dollar sign. */
export const systemPropertyNames: readonly string[] = Object.keys(documented)

const byFoldedName = new Map(Object.entries(documented).map(([name, stored]) => [foldName(name), stored]))

export const isDocumented = (name: string): boolean => byFoldedName.has(foldName(name))

/** Where a stored message has the system property of that name, in any case. What no protocol defines is stored with its dollar sign. */
export function storedAs(name: string): StoredAs {
  const folded = foldName(name)
  return byFoldedName.get(folded) ?? { systemProperty: othersStored.has(folded) ? name : `$${name}` }
}
