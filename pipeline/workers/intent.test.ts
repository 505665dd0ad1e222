import { expect, test } from 'vitest'
import { noteFromText, textFromNote, tokenOf } from './intent.ts'

const range = {
  topic: 't',
  partition: 3,
  first: 10,
  last: 19,
  rowCount: 1_000,
  enqueuedAtMsFirst: 1_767_000_000_000,
  enqueuedAtMsLast: 1_767_000_000_999,
}
const stamp = {
  schemaVersion: 1,
  edgeId: 'edge-1',
  epoch: 1_767_000_000_000,
  sequence: 42,
  messageCount: 100,
  enqueuedAtMsFirst: 0,
  enqueuedAtMsLast: 0,
}

const emptyNote = { intent: undefined, split: undefined, delivered: '', logId: undefined }

test('a note comes back from its text as it was: golden', () => {
  const note = {
    intent: { range, token: tokenOf(range, stamp) },
    split: undefined,
    delivered: 'edge-1 1767000000000 0-41',
    logId: 'c4f0Zr2ETyuX0JmXvXq1Ug',
  }
  const text = textFromNote(note)
  expect(text).toBe(
    '{"v":1,"b":19,"token":"t/3/10-19/edge-1.1767000000000.42","rows":1000,"from":1767000000000,"to":1767000000999,' +
      '"delivered":"edge-1 1767000000000 0-41","log":"c4f0Zr2ETyuX0JmXvXq1Ug"}',
  )
  expect(noteFromText('t', 3, 10, text)).toEqual(note)
  expect(noteFromText('t', 3, 10, textFromNote({ ...emptyNote, delivered: 'x' }))).toEqual({
    ...emptyNote,
    delivered: 'x',
  })
  expect(noteFromText('t', 3, 10, '')).toEqual(emptyNote)
})

test('a note of an earlier version, which does not say of which log it is, is taken', () => {
  expect(noteFromText('t', 3, 10, '{"v":1,"delivered":"x"}')).toEqual({ ...emptyNote, delivered: 'x' })
})

test('a note of a batch in parts comes back as it was, and is not taken for an intent of the whole batch: golden', () => {
  const part = { ...range, last: range.first, rowCount: 2 }
  const note = {
    intent: { range: part, token: `${tokenOf(part, stamp)}#3+2` },
    split: { next: 3, stored: 2, given: 0 },
    delivered: '',
    logId: undefined,
  }
  const text = textFromNote(note)
  expect(text).toBe(
    '{"v":2,"next":3,"stored":2,"given":0,"b":10,"token":"t/3/10-10/edge-1.1767000000000.42#3+2","rows":2,' +
      '"from":1767000000000,"to":1767000000999,"delivered":""}',
  )
  expect(noteFromText('t', 3, 10, text)).toEqual(note)
  const given = { intent: undefined, split: { next: 3, stored: 2, given: 1 }, delivered: '', logId: 'l' }
  expect(noteFromText('t', 3, 10, textFromNote(given))).toEqual(given)
})

test('a note that is not understood stops the partition instead of being guessed', () => {
  for (const text of [
    'x',
    '1',
    'null',
    '{}',
    '{"v":2,"delivered":""}',
    '{"v":2,"next":1,"stored":-1,"given":0,"delivered":""}',
    '{"v":3,"delivered":""}',
    '{"v":1,"b":9,"token":"t","rows":1,"from":1,"to":1,"delivered":""}',
    '{"v":1,"b":19,"rows":1,"from":1,"to":1,"delivered":""}',
  ])
    expect(() => noteFromText('t', 3, 10, text), text).toThrow(expect.objectContaining({ code: 'INTENT_CORRUPT' }))
})

test('tokens differ by range, and by log when one is made anew under the same name', () => {
  const tokens = [
    tokenOf(range, stamp),
    tokenOf({ ...range, last: 18 }, stamp),
    tokenOf({ ...range, first: 11 }, stamp),
    tokenOf({ ...range, partition: 4 }, stamp),
    tokenOf({ ...range, topic: 'u' }, stamp),
    tokenOf(range, { ...stamp, epoch: stamp.epoch + 1 }),
  ]
  expect(new Set(tokens).size).toBe(tokens.length)
})
