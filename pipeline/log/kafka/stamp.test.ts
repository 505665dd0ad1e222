import { expect, test } from 'vitest'
import { headersFromStamp, logRecordFromKafka } from './stamp.ts'

const stamp = {
  schemaVersion: 1,
  edgeId: 'edge-1/é',
  epoch: 1_767_000_000_000,
  sequence: 42,
  messageCount: 100,
  enqueuedAtMsFirst: 1_767_000_000_001,
  enqueuedAtMsLast: 1_767_000_000_999,
}
const record = { offset: '9007199254740991', timestamp: '1700000000000', value: Buffer.from('x') }
const asHeaders = (texts: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)]))

test('the headers never change: golden', () => {
  expect(headersFromStamp(stamp)).toEqual({
    'schema-version': '1',
    'edge-id': 'edge-1/é',
    epoch: '1767000000000',
    sequence: '42',
    'message-count': '100',
    'enqueued-at-ms-first': '1767000000001',
    'enqueued-at-ms-last': '1767000000999',
  })
})

test('a stamp comes back from its headers, zeros too', () => {
  for (const each of [stamp, { ...stamp, epoch: 0, sequence: 0, enqueuedAtMsFirst: 0 }])
    expect(logRecordFromKafka({ ...record, headers: asHeaders(headersFromStamp(each)) })).toEqual({
      offset: Number.MAX_SAFE_INTEGER,
      value: Buffer.from('x'),
      stamp: each,
    })
})

test('a record that no edge wrote has a version that no reader knows, and the time at which it came', () => {
  const foreign = {
    schemaVersion: 0,
    edgeId: '',
    epoch: 0,
    sequence: 0,
    messageCount: 1,
    enqueuedAtMsFirst: 1_700_000_000_000,
    enqueuedAtMsLast: 1_700_000_000_000,
  }
  expect(logRecordFromKafka({ ...record, value: null, headers: {} })).toEqual({
    offset: Number.MAX_SAFE_INTEGER,
    value: new Uint8Array(0),
    stamp: foreign,
  })
  const damaged = Object.fromEntries(
    Object.keys(headersFromStamp(stamp)).map((name) => [name, name === 'edge-id' ? '' : '1.5']),
  )
  expect(logRecordFromKafka({ ...record, headers: asHeaders(damaged) }).stamp).toEqual(foreign)
})
