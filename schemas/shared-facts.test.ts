import { expect, test } from 'vitest'
import { readLong } from './avro-long.ts'
import { type ErrorCode, errorTable, PenstockError } from './errors.ts'
import { hubFaultOf } from './hub-faults.ts'
import { isBridgeState, telemetryPath } from './hub-topics.ts'
import { logTopic, logTopicNames } from './log-topics.ts'
import { dayMs, utcDayOf } from './time.ts'

test('a length is read as Avro writes it, and nothing else is one', () => {
  expect(readLong(Uint8Array.of(0x02), 0)).toEqual({ value: 1, end: 1 })
  expect(readLong(Uint8Array.of(0xff, 0x80, 0x80, 0x01), 1)).toEqual({ value: 8192, end: 4 })
  const largest = Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
  expect(readLong(largest, 0)).toEqual({ value: 2 ** 48 - 1, end: 7 })
  expect(readLong(Uint8Array.of(0x01), 0), 'negative').toBeUndefined()
  expect(readLong(Uint8Array.of(0x80), 0), 'cut short').toBeUndefined()
  expect(readLong(Uint8Array.of(...new Array(8).fill(0x80), 0x00), 0), 'too long').toBeUndefined()
  expect(readLong(new Uint8Array(0), 0), 'not there').toBeUndefined()
})

test('every fault that a caller may be told has a status, a name and a number that begins with it', () => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const { status, name, number } = hubFaultOf(new PenstockError(code, 'text'))
    expect([Math.floor(number / 1_000), /^[A-Z]\w+$/.test(name)], code).toEqual([status, true])
  }
  expect(hubFaultOf(new TypeError('a mistake')).status).toBe(500)
})

test('a device and its module send to the same words over MQTT and HTTP', () => {
  expect(telemetryPath('d')).toBe('devices/d/messages/events')
  expect(telemetryPath('d', 'm')).toBe('devices/d/modules/m/messages/events')
})

test.each([
  ['$SYS/broker/connection/bridge/state', true],
  ['$SYS/broker/connection/bridge', false],
  ['$SYS/broker/load', false],
])('%s tells of a bridge: %s', (topic, expected) => {
  expect(isBridgeState(topic)).toBe(expected)
})

test('a topic of the log is its name behind the prefix', () => {
  expect(logTopicNames.map((name) => logTopic('p', name))).toEqual([
    'p.telemetry',
    'p.events',
    'p.twin-events',
    'p.dead-letters',
    'p.partitions',
  ])
})

test('a UTC day ends at midnight', () => {
  expect([utcDayOf(0), utcDayOf(dayMs - 1), utcDayOf(dayMs), utcDayOf(-1)]).toEqual([0, 0, 1, -1])
})
