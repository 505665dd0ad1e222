import { expect, test } from 'vitest'
import type { Envelope } from '#schemas/batch.ts'
import { message } from './batches-fixture.ts'
import { eventMessageOf } from './event-message.ts'

const hubName = 'hub'
const sequence = '00001a2b3c4d5e6f'

const stored = (event: string, moduleId?: string): Envelope =>
  message({
    properties: { event, sequence, reason: 'CLOSED_BY_PEER' },
    systemProperties: moduleId === undefined ? {} : { moduleId },
  })

const parsed = (envelope: Envelope | undefined) => JSON.parse(Buffer.from(envelope?.body ?? []).toString())

test('a created device is the hub’s lifecycle notification, with an empty twin as body', () => {
  const { source, envelope } = eventMessageOf(stored('created'), hubName) ?? {}
  expect(source).toBe('DeviceLifecycleEvents')
  expect(envelope).toMatchObject({ deviceId: 'press-1', enqueuedAtMs: 1_790_000_000_000 })
  expect(envelope?.properties).toEqual({
    hubName,
    deviceId: 'press-1',
    operationTimestamp: '2026-09-21T14:13:20.0000000Z',
    opType: 'createDeviceIdentity',
    'iothub-message-schema': 'deviceLifecycleNotification',
  })
  expect(envelope?.systemProperties).toEqual({
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    correlationId: sequence,
    userId: hubName,
    'iothub-message-source': 'deviceLifecycleEvents',
  })
  const section = { $metadata: { $lastUpdated: '2026-09-21T14:13:20.0000000Z' }, $version: 1 }
  expect(parsed(envelope)).toEqual({
    deviceId: 'press-1',
    etag: 'AAAAAAAAAAE=',
    version: 2,
    properties: { desired: section, reported: section },
  })
})

test.each([
  ['created', undefined, 'createDeviceIdentity', 'deviceLifecycleNotification'],
  ['deleted', undefined, 'deleteDeviceIdentity', 'deviceLifecycleNotification'],
  ['created', 'm1', 'createModuleIdentity', 'moduleLifecycleNotification'],
  ['deleted', 'm1', 'deleteModuleIdentity', 'moduleLifecycleNotification'],
  ['connected', undefined, 'deviceConnected', 'deviceConnectionStateNotification'],
  ['disconnected', 'm1', 'deviceDisconnected', 'deviceConnectionStateNotification'],
])('%s of module %s is %s', (event, moduleId, opType, schema) => {
  const { envelope } = eventMessageOf(stored(event, moduleId), hubName) ?? {}
  expect(envelope?.properties).toMatchObject({ opType, 'iothub-message-schema': schema })
  expect(envelope?.properties.moduleId).toBe(moduleId)
  expect(envelope?.systemProperties.moduleId).toBe(moduleId)
})

test('sequence numbers of connections have 64 digits and grow as texts', () => {
  const numberOf = (sequence: string) =>
    parsed(eventMessageOf(message({ properties: { event: 'connected', sequence } }), hubName)?.envelope).sequenceNumber
  expect(numberOf(sequence)).toBe(`${'0'.repeat(48)}00001A2B3C4D5E6F`)
  expect(numberOf('00000000000000ff') > numberOf('000000000000000a')).toBe(true)
})

test('an update, and what is no event, is no message', () => {
  expect(eventMessageOf(stored('updated'), hubName)).toBeUndefined()
  expect(eventMessageOf(stored('toString'), hubName)).toBeUndefined()
  expect(eventMessageOf(message(), hubName)).toBeUndefined()
})
