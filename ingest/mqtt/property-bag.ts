/**
 * The property bag at the end of a telemetry topic: `&`-joined `key=value`, both sides percent-encoded UTF-8; `key` and `key=`
 * have an empty value. `$`-keys (also spelled `%24`) are the hub's system properties.
 */
import type { SystemPropertyName } from '#ingest/device-api/telemetry.ts'
import { PenstockError } from '#schemas/errors.ts'

/** Names under which system properties are stored, by their key in the bag. */
const systemPropertyNames: ReadonlyMap<string, SystemPropertyName> = new Map<string, SystemPropertyName>([
  ['$.mid', 'messageId'],
  ['$.cid', 'correlationId'],
  ['$.uid', 'userId'],
  ['$.to', 'to'],
  ['$.ct', 'contentType'],
  ['$.ce', 'contentEncoding'],
  ['$.exp', 'expiry'],
  ['$.ctime', 'creationTime'],
  ['$.on', 'outputName'],
  ['$.sub', 'subject'],
  ['$.ifid', 'interfaceId'],
  ['$.schema', 'contentSchema'],
])

/** Keys a device may send but that only its connection may decide. */
const decidedByConnection = new Set(['$.cdid', '$.cmid'])

/**
 * Adds the bag's entries to the two maps; of a key given twice the last one counts. Unknown `$`-keys are kept as spelled.
 * @throws INGEST_TOPIC_REFUSED on a broken percent-encoding or an entry without a key
 */
export function readPropertyBag(
  bag: string,
  properties: Map<string, string>,
  systemProperties: Map<string, string>,
): void {
  if (bag === '') return
  for (const entry of bag.split('&')) {
    if (entry === '') continue
    const equals = entry.indexOf('=')
    const key = decode(equals < 0 ? entry : entry.slice(0, equals))
    const value = equals < 0 ? '' : decode(entry.slice(equals + 1))
    if (key === '') throw new PenstockError('INGEST_TOPIC_REFUSED', 'a property without a name in the property bag')
    if (!key.startsWith('$')) properties.set(key, value)
    else if (!decidedByConnection.has(key)) systemProperties.set(systemPropertyNames.get(key) ?? key, value)
  }
}

function decode(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    throw new PenstockError('INGEST_TOPIC_REFUSED', 'a broken percent-encoding in the property bag')
  }
}
