/**
 * Changes of twins, as they stand on the log topic `<prefix>.twin-events` and in the table `penstock.twin_events`: the hub's own messages, so
 * that routes get them as they lie there.
 *
 *   deviceId           the device
 *   enqueuedAtMs       when it was put on the log
 *   body               JSON: what changed, with `version`; after a replacement the whole twin
 *   properties         hubName, deviceId, moduleId, operationTimestamp, opType, iothub-message-schema
 *   systemProperties   contentType, contentEncoding, correlationId (the same if the change is told again), userId, moduleId, iothub-message-source
 */
import type { Envelope } from './batch.ts'
import type { IdentityId } from './identity-id.ts'
import { enqueuedTimeText } from './time.ts'

/** A committed change of a twin. */
export interface TwinChange extends IdentityId {
  /** The same whenever the change is told. */
  readonly id: string
  readonly opType: 'updateTwin' | 'replaceTwin'
  readonly atMs: number
  /** JSON. */
  readonly body: string
}

export function twinEventEnvelope(change: TwinChange, hubName: string, enqueuedAtMs: number): Envelope {
  const { deviceId, moduleId, id, opType, atMs, body } = change
  const ofModule = moduleId === undefined ? {} : { moduleId }
  return {
    deviceId,
    enqueuedAtMs,
    body: Buffer.from(body),
    properties: {
      hubName,
      deviceId,
      ...ofModule,
      operationTimestamp: enqueuedTimeText(atMs),
      opType,
      'iothub-message-schema': 'twinChangeNotification',
    },
    systemProperties: {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      correlationId: id,
      userId: hubName,
      ...ofModule,
      'iothub-message-source': 'twinChangeEvents',
    },
  }
}
