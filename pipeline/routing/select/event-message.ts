/**
 * Device events as the hub's own messages, which routes of the sources DeviceLifecycleEvents and DeviceConnectionStateEvents get. What is
 * stored (`schemas/device-event.ts`) stays as it is.
 *
 *   stored event              opType                                             body
 *   created, deleted          createDeviceIdentity, deleteDeviceIdentity,        the twin of an identity as it is made: nothing in it
 *                             of a module …ModuleIdentity
 *   connected, disconnected   deviceConnected, deviceDisconnected                a sequence number that grows
 *   updated, commandEnded,    the hub has none: no message
 *   fileUploaded
 */
import type { RoutingSource } from '#pipeline/routing/condition/condition.ts'
import type { Envelope } from '#schemas/batch.ts'
import type { DeviceEventKind } from '#schemas/device-event.ts'
import { enqueuedTimeText } from '#schemas/time.ts'

export interface EventMessage {
  readonly source: RoutingSource
  readonly envelope: Envelope
}

/** The hub writes 64 hexadecimal digits; compared as texts they say which state came later. */
const sequenceDigits = 64

/** Undefined of an event that the hub has no message for. @param stored an envelope of the events topic */
export function eventMessageOf(stored: Envelope, hubName: string): EventMessage | undefined {
  const { event, sequence = '' } = stored.properties
  const { moduleId } = stored.systemProperties
  switch (event as DeviceEventKind | undefined) {
    case 'created':
    case 'deleted': {
      const subject = moduleId === undefined ? 'Device' : 'Module'
      return messageOf(stored, hubName, 'DeviceLifecycleEvents', {
        messageSource: 'deviceLifecycleEvents',
        opType: `${event === 'created' ? 'create' : 'delete'}${subject}Identity`,
        schema: `${subject.toLowerCase()}LifecycleNotification`,
        body: emptyTwin(stored),
      })
    }
    case 'connected':
    case 'disconnected':
      return messageOf(stored, hubName, 'DeviceConnectionStateEvents', {
        messageSource: 'deviceConnectionStateEvents',
        opType: event === 'connected' ? 'deviceConnected' : 'deviceDisconnected',
        schema: 'deviceConnectionStateNotification',
        body: { sequenceNumber: sequence.toUpperCase().padStart(sequenceDigits, '0') },
      })
    case 'updated':
    case 'commandEnded':
    case 'fileUploaded':
    case undefined:
      return undefined
  }
}

interface Notification {
  readonly messageSource: string
  readonly opType: string
  readonly schema: string
  readonly body: object
}

function messageOf(
  stored: Envelope,
  hubName: string,
  source: RoutingSource,
  { messageSource, opType, schema, body }: Notification,
): EventMessage {
  const { deviceId, enqueuedAtMs } = stored
  const { moduleId } = stored.systemProperties
  const { sequence = '' } = stored.properties
  const envelope: Envelope = {
    deviceId,
    enqueuedAtMs,
    body: Buffer.from(JSON.stringify(body)),
    properties: {
      hubName,
      deviceId,
      ...(moduleId === undefined ? {} : { moduleId }),
      operationTimestamp: enqueuedTimeText(enqueuedAtMs),
      opType,
      'iothub-message-schema': schema,
    },
    systemProperties: {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      // The same each time the event is read again.
      correlationId: sequence,
      userId: hubName,
      ...(moduleId === undefined ? {} : { moduleId }),
      'iothub-message-source': messageSource,
    },
  }
  return { source, envelope }
}

function emptyTwin({ deviceId, enqueuedAtMs, systemProperties: { moduleId } }: Envelope): object {
  const section = { $metadata: { $lastUpdated: enqueuedTimeText(enqueuedAtMs) }, $version: 1 }
  return {
    deviceId,
    ...(moduleId === undefined ? {} : { moduleId }),
    etag: 'AAAAAAAAAAE=',
    version: 2,
    properties: { desired: section, reported: section },
  }
}
