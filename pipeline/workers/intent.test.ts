import { expect, test } from 'vitest'
import { noteFromText, renewedToken, textFromNote, tokenOf } from './intent.ts'

const range = {
  topic: 't',
  partition: 3,
  first: 10,
  last: 19,
  messageCount: 1_000,
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
  const part = { ...range, last: range.first, messageCount: 2, part: { first: 3, length: 2, storedBefore: 2 } }
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

test('a note without one of its fields, or with no count in it, is not understood', () => {
  const whole = { v: 1, b: 19, token: 't', rows: 1, from: 1, to: 1, delivered: '' }
  const split = { ...whole, v: 2, b: 10, next: 3, stored: 2, given: 0 }
  const corrupt = expect.objectContaining({ code: 'INTENT_CORRUPT' })
  for (const note of [whole, split]) {
    expect(noteFromText('t', 3, 10, JSON.stringify(note)).intent).toBeDefined()
    for (const [name, value] of Object.entries(note)) {
      // Without `b` it is a note without an intent.
      const others = typeof value === 'string' ? [undefined, 1] : ['1', -1, 1.5, null]
      for (const other of name === 'b' || others[0] === undefined ? others : [undefined, ...others])
        expect(() => noteFromText('t', 3, 10, JSON.stringify({ ...note, [name]: other })), name).toThrow(corrupt)
    }
  }
})

test('a range of one batch, counts of nothing and the first moment are understood', () => {
  const text = '{"v":1,"b":10,"token":"","rows":0,"from":0,"to":0,"delivered":""}'
  const first = {
    topic: 't',
    partition: 3,
    first: 10,
    last: 10,
    messageCount: 0,
    enqueuedAtMsFirst: 0,
    enqueuedAtMsLast: 0,
  }
  expect(noteFromText('t', 3, 10, text).intent).toEqual({ range: first, token: '' })
  expect(() => noteFromText('t', 3, 11, text)).toThrow(expect.objectContaining({ code: 'INTENT_CORRUPT' }))
})

test('a split without an intent comes back, and a fault shows the place and the start of the note only', () => {
  const split = { next: 0, stored: 0, given: 0 }
  expect(noteFromText('t', 3, 10, textFromNote({ ...emptyNote, split }))).toEqual({ ...emptyNote, split })
  const long = 'x'.repeat(1_000)
  expect(() => noteFromText('t', 3, 10, long)).toThrow(
    `t/3 at 10 carries a note that is not Penstock's: ${'x'.repeat(200)}`,
  )
  expect(() => noteFromText('t', 3, 10, long)).not.toThrow('x'.repeat(201))
})

test('tokens differ by range, and by log when one is made anew under the same name', () => {
  const tokens = [
    tokenOf(range, stamp),
    tokenOf({ ...range, last: 18 }, stamp),
    tokenOf({ ...range, first: 11 }, stamp),
    tokenOf({ ...range, partition: 4 }, stamp),
    tokenOf({ ...range, topic: 'u' }, stamp),
    tokenOf(range, { ...stamp, epoch: stamp.epoch + 1 }),
    tokenOf(range, { ...stamp, edgeId: 'edge-2' }),
    tokenOf(range, { ...stamp, sequence: stamp.sequence + 1 }),
  ]
  expect(new Set(tokens).size).toBe(tokens.length)
})

test('a renewed token is another one each time, stays short, and is never that of another part of the batch', () => {
  const part = `${tokenOf(range, stamp)}#0+3`
  const tokens = [part]
  for (let count = 0; count < 1_000; count++) tokens.push(renewedToken(tokens.at(-1)!))
  expect(new Set(tokens).size).toBe(1_001)
  expect(tokens.at(-1)!.length).toBeLessThan(part.length + 6)
  for (const token of tokens) expect(token.slice(part.length)).toMatch(/^$|^~\d+$/)
})
