import { expect, test } from 'vitest'
import { formatFrom, groupFrom, positionFrom, stampFrom } from './kept-json.ts'

const stamp = {
  schemaVersion: 1,
  edgeId: 'e',
  epoch: 1,
  sequence: 0,
  messageCount: 1,
  enqueuedAtMsFirst: 0,
  enqueuedAtMsLast: 0,
}
const free = { generation: 0 }
const member = { id: 'm', process: 'p' }
const bytes = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))

test('what was written is read back', () => {
  expect(formatFrom(bytes({ version: 1, topic: 't', partitionCount: 2 }))).toMatchObject({ topic: 't' })
  expect(stampFrom(bytes([7, stamp]))).toEqual([7, stamp])
  expect(groupFrom(bytes({ members: [member], partitions: [free, { ...free, owner: 'm', wanted: 'm' }] }))).toEqual({
    members: [member],
    partitions: [free, { ...free, owner: 'm', wanted: 'm' }],
  })
  expect(positionFrom(bytes([3, 'intent']))).toEqual({ offset: 3, metadata: 'intent' })
})

test.each([
  ['no JSON', () => positionFrom(bytes('{'))],
  ['no format', () => formatFrom(bytes({ version: 1, topic: 't' }))],
  ['a format of another id', () => formatFrom(bytes({ version: 1, topic: 't', partitionCount: 1, id: 1 }))],
  ['a stamp without its length', () => stampFrom(bytes([null, stamp]))],
  ['a stamp without an edge', () => stampFrom(bytes([7, { ...stamp, edgeId: null }]))],
  ['a stamp of a negative number of messages', () => stampFrom(bytes([7, { ...stamp, messageCount: -1 }]))],
  ['a group without partitions', () => groupFrom(bytes({ members: [member] }))],
  ['a group without members', () => groupFrom(bytes({ partitions: [free] }))],
  ['a group with a nameless member', () => groupFrom(bytes({ members: [{}], partitions: [free] }))],
  ['a position before the log', () => positionFrom(bytes([-1, '']))],
  ['a position without metadata', () => positionFrom(bytes([1]))],
])('%s is LOG_DATA_UNREADABLE', (_, read) => {
  expect(read).toThrow(expect.objectContaining({ code: 'LOG_DATA_UNREADABLE' }))
})
