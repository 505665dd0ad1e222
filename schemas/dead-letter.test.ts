import { describe, expect, test } from 'vitest'
import {
  bytesFromLetter,
  bytesFromReplay,
  bytesFromSettlement,
  type DeadLetter,
  deadLetterHeadBytesMax,
  letterFromBytes,
} from './dead-letter.ts'

const letter: Omit<DeadLetter, 'kind'> = {
  topic: 'telemetry',
  partition: 3,
  offset: 17,
  reason: 'WAREHOUSE_REFUSED',
  text: 'why',
  atMs: 1_700_000_000_000,
  messageCount: 2,
  messageFirst: 1,
  bytes: Buffer.from([0, 1, 2, 255]),
}
const settlement = { letter: 5, as: 'replayed', atMs: 9 } as const
const replay = { letter: 5, epoch: 8, next: 7, atMs: 9 } as const

/** A record with any head. */
function record(kind: number, head: unknown, bytes: Uint8Array = new Uint8Array()): Buffer {
  const text = Buffer.from(JSON.stringify(head))
  const start = Buffer.from(['P', 'D', 'L'].map((each) => each.charCodeAt(0)).concat(kind, 0, 0, 0, 0))
  start.writeUInt32BE(text.length, 4)
  return Buffer.concat([start, text, bytes])
}

const corrupt = expect.objectContaining({ code: 'BATCH_CORRUPT' })

describe('records of the dead-letter topic', () => {
  test('a letter is read as it was written, its bytes untouched', () => {
    expect(letterFromBytes(bytesFromLetter(letter))).toEqual({ kind: 'letter', ...letter })
    const empty = { ...letter, bytes: Buffer.alloc(0) }
    expect(letterFromBytes(bytesFromLetter(empty))).toEqual({ kind: 'letter', ...empty })
  })

  test('what becomes of a letter is read as it was written', () => {
    for (const as of ['replayed', 'dropped'] as const)
      expect(letterFromBytes(bytesFromSettlement({ ...settlement, as }))).toEqual({
        kind: 'settlement',
        ...settlement,
        as,
      })
    expect(letterFromBytes(bytesFromReplay(replay))).toEqual({ kind: 'replay', ...replay })
  })

  test('the bytes of each kind never change: golden', () => {
    const { bytes, ...head } = letter
    expect(bytesFromLetter(letter)).toEqual(record(1, head, bytes))
    expect(bytesFromSettlement(settlement)).toEqual(record(2, settlement))
    expect(bytesFromReplay(replay)).toEqual(record(3, replay))
  })

  test('a letter of an endpoint says whose it is, in a field that older readers leave out', () => {
    const named = { ...letter, endpoint: 'webhook-1' }
    expect(letterFromBytes(bytesFromLetter(named))).toEqual({ kind: 'letter', ...named })
    const { bytes, ...head } = letter
    expect(() => letterFromBytes(record(1, { ...head, endpoint: 5 }, bytes))).toThrow(corrupt)
  })

  test('a letter of an older version says nothing of its first message', () => {
    const { bytes, messageFirst: _, ...head } = letter
    expect(letterFromBytes(record(1, head, bytes))).toEqual({ kind: 'letter', ...head, bytes })
  })

  test('a text that is too long is cut, so that the head fits whatever it holds', () => {
    const longest = { ...letter, topic: 't'.repeat(249), text: '\0'.repeat(1_000) }
    const written = bytesFromLetter(longest)
    expect(written.length - longest.bytes.length).toBeLessThan(deadLetterHeadBytesMax)
    expect(letterFromBytes(written)).toMatchObject({ text: '\0'.repeat(500) })
  })

  const kinds: readonly (readonly [number, object])[] = [
    [1, { ...letter, messageFirst: undefined, bytes: undefined }],
    [2, settlement],
    [3, replay],
  ]

  test.each(kinds)(
    'a record of kind %d without one of its fields, or with another type in it, is refused',
    (kind, head) => {
      expect(letterFromBytes(record(kind, head))).toBeDefined()
      for (const [name, value] of Object.entries(head)) {
        if (value === undefined) continue
        const { [name as keyof typeof head]: _, ...without } = head
        expect(() => letterFromBytes(record(kind, without)), name).toThrow(corrupt)
        const another = typeof value === 'string' ? 1 : '1'
        expect(() => letterFromBytes(record(kind, { ...head, [name]: another })), name).toThrow(corrupt)
      }
    },
  )

  test('a reason or an end that is not known is refused', () => {
    expect(() => letterFromBytes(record(1, { ...letter, bytes: undefined, reason: 'toString' }))).toThrow(corrupt)
    expect(() => letterFromBytes(record(2, { ...settlement, as: 'lost' }))).toThrow(corrupt)
  })

  test('a record cut anywhere before its bytes, or that is something else, is refused', () => {
    const whole = bytesFromReplay(replay)
    for (let length = 0; length < whole.length; length++)
      expect(() => letterFromBytes(whole.subarray(0, length))).toThrow(corrupt)
    for (const head of [null, 1, 'text', []]) expect(() => letterFromBytes(record(1, head))).toThrow(corrupt)
    for (const kind of [0, 2, 3, 4]) expect(() => letterFromBytes(record(kind, letter))).toThrow(corrupt)
    const foreign = bytesFromReplay(replay)
    foreign[0] = 'X'.charCodeAt(0)
    expect(() => letterFromBytes(foreign)).toThrow(corrupt)
  })
})
