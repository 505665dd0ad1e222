/** What the operations on commands say of themselves. */
import { continuation, continues } from '#control/rest/hub-shapes.ts'
import type { OperationTold } from '#control/rest/told.ts'
import { aCount, aText, aTime, listOf, mapOf, named, orNull, recordOf } from '#runtime/api/shapes.ts'
import { type BodyTold, bytes, gives, json, nothing } from '#runtime/api/told.ts'
import { feedbackContentType } from './feedback-document.ts'

const sent = {
  headers: {
    'iothub-messageid': 'of the message',
    'iothub-expiry': 'until when it waits for its device, ISO 8601',
    'iothub-ack': 'none, positive, negative or full: which feedback is wanted',
    'iothub-app-{name}': 'a property of the application',
  },
  asked: bytes('application/octet-stream'),
  answered: { 204: nothing('it waits for its device') },
  faults: [
    'REGISTRY_DEVICE_UNKNOWN',
    'REGISTRY_MODULE_UNKNOWN',
    'COMMAND_INVALID',
    'COMMAND_TOO_LARGE',
    'COMMAND_QUEUE_FULL',
    'COMMANDS_FULL',
  ],
} as const

const deadCommand = {
  id: aCount,
  deviceId: aText,
  moduleId: orNull(aText),
  messageId: orNull(aText),
  reason: aText,
  deliveryCount: aCount,
  enqueuedTimeUtc: aTime,
  expiryTimeUtc: aTime,
  endedTimeUtc: aTime,
  ack: aText,
  systemProperties: mapOf(aText),
  properties: mapOf(aText),
}

const feedback: BodyTold = {
  contentType: feedbackContentType,
  shape: listOf(
    named(
      'Feedback',
      recordOf(
        {
          originalMessageId: aText,
          enqueuedTimeUtc: aTime,
          statusCode: aText,
          description: aText,
          deviceId: aText,
          deviceGenerationId: aText,
        },
        { moduleId: aText },
      ),
    ),
  ),
}

export const commandTold = {
  send: { summary: 'Sends a command to a device or module', ...sent },
  sendTo: {
    summary: 'Sends a command to whom iothub-to names',
    ...sent,
    headers: { 'iothub-to': '/devices/{device}/messages/deviceBound, percent-encoded', ...sent.headers },
  },
  sendDocument: {
    summary: 'Sends a command as JSON, in which names of properties keep their case',
    asked: json(
      named(
        'SentCommand',
        recordOf({ to: aText, body: aText }, { ack: aText, systemProperties: mapOf(aText), properties: mapOf(aText) }),
      ),
    ),
    answered: sent.answered,
    faults: sent.faults,
  },
  purge: {
    summary: 'Ends all commands that wait for a device or module',
    answered: {
      200: gives('how many', recordOf({ totalMessagesPurged: aCount, deviceId: aText, moduleId: orNull(aText) })),
    },
    faults: ['REGISTRY_DEVICE_UNKNOWN', 'REGISTRY_MODULE_UNKNOWN'],
  },
  takeFeedback: {
    summary: 'What became of commands; to be completed within a minute, or it comes again',
    answered: {
      200: {
        description: 'records',
        body: feedback,
        headers: { ETag: 'the lock token', 'iothub-userid': 'the name of the hub' },
      },
      204: nothing('there is none for now'),
    },
  },
  completeFeedback: {
    summary: 'Records are received',
    answered: { 204: nothing('done') },
    faults: ['COMMAND_LOCK_LOST'],
  },
  abandonFeedback: {
    summary: 'Records are to come again',
    answered: { 204: nothing('done') },
    faults: ['COMMAND_LOCK_LOST'],
  },
  listDead: {
    summary: 'Commands that ended without success, the oldest first',
    query: { device: 'only those of this device', top: 'items of a page' },
    headers: continues,
    answered: { 200: gives('a page', listOf(named('DeadCommand', recordOf(deadCommand))), continuation) },
  },
  dropDeadOfDevice: {
    summary: 'Forgets all dead commands of a device',
    query: { device: 'of which device; it has to be there' },
    answered: { 200: gives('how many', recordOf({ dropped: aCount })) },
  },
  getDead: {
    summary: 'A dead command with its body',
    answered: { 200: gives('it; the body is base64', recordOf({ ...deadCommand, body: aText })) },
    faults: ['COMMAND_UNKNOWN'],
  },
  resendDead: {
    summary: 'Sends a dead command anew',
    answered: { 204: nothing('it waits for its device') },
    faults: ['COMMAND_UNKNOWN', 'REGISTRY_DEVICE_UNKNOWN', 'COMMAND_QUEUE_FULL', 'COMMANDS_FULL'],
  },
  dropDead: {
    summary: 'Forgets a dead command',
    answered: { 204: nothing('done') },
    faults: ['COMMAND_UNKNOWN'],
  },
} as const satisfies Readonly<Record<string, OperationTold>>
