import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { hubBatchType, readMessages } from './message-reader.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const rounds = 20_000

const random = seededRandom(seed).below
const pieces = [
  '[',
  ']',
  '{',
  '}',
  '"body"',
  ':',
  '"aGk="',
  ',',
  '"properties"',
  'null',
  '1e999',
  '"__proto__"',
  '\n',
  '\r\n',
  '\\u0000',
  'é',
  ' ',
  '"base64Encoded"',
  'false',
]
const names = [
  'iothub-app-a',
  'IOTHUB-APP-__proto__',
  'iothub-messageid',
  'iothub-app-',
  'host',
  'iothub-moduleid',
  'moduleid',
  'topic',
]

describe(`messages of HTTP requests, SEED=${seed}`, () => {
  test('any body, type, split and header is read or refused as such', () => {
    const types = [
      hubBatchType,
      'application/json',
      'application/x-ndjson',
      '',
      `${hubBatchType.toUpperCase()}; a=b`,
      ';;',
    ]
    const splits = [undefined, undefined, 'array', 'lines', 'other', '']
    let read = 0
    for (let round = 0; round < rounds; round++) {
      const body =
        random(3) === 0
          ? '[{"body":"aGk=","properties":{"a":"b"}},{"body":"x","base64Encoded":false}]'
          : Array.from({ length: random(14) }, () => pieces[random(pieces.length)]).join('')
      const headers = Array.from(
        { length: random(4) },
        () => [names[random(names.length)] ?? '', `v${random(9)}`] as const,
      )
      try {
        const messages = readMessages(
          Buffer.from(body),
          types[random(types.length)] ?? '',
          splits[random(splits.length)],
          headers,
        )
        read++
        for (const message of messages) {
          expect(message.body.length).toBeLessThanOrEqual(limits.bodyBytesMax)
          for (const key of message.properties.system.keys()) expect(['moduleId', 'topic']).not.toContain(key)
          for (const [key, value] of message.properties.application)
            expect([typeof key, typeof value]).toEqual(['string', 'string'])
        }
      } catch (error) {
        expect(isPenstockError(error, 'INGEST_BODY_MALFORMED'), String(error)).toBe(true)
      }
    }
    expect(read).toBeGreaterThan(rounds / 20)
  })

  test('lines come apart where they were joined, and each keeps its bytes', () => {
    for (let round = 0; round < rounds / 10; round++) {
      const lines = Array.from({ length: 1 + random(9) }, () =>
        Buffer.from(Array.from({ length: 1 + random(9) }, () => 14 + random(242))),
      )
      const joined = Buffer.concat(lines.flatMap((line) => [line, Buffer.from(random(2) ? '\n' : '\r\n')]))
      const messages = readMessages(joined, '', 'lines', [])
      expect(messages.map(({ body }) => body.toString('hex'))).toEqual(lines.map((line) => line.toString('hex')))
    }
  })

  test('a message above the limit is refused as too large, wherever it stands', () => {
    const large = 'x'.repeat(limits.bodyBytesMax + 1)
    const tooLarge = expect.objectContaining({ code: 'INGEST_FRAME_TOO_LARGE' })
    expect(() => readMessages(Buffer.from(large), '', undefined, [])).toThrow(tooLarge)
    expect(() => readMessages(Buffer.from(`a\n${large}`), '', 'lines', [])).toThrow(tooLarge)
    expect(() => readMessages(Buffer.from(JSON.stringify(['a', large])), '', 'array', [])).toThrow(tooLarge)
    const batch = JSON.stringify([{ body: large, base64Encoded: false }])
    expect(() => readMessages(Buffer.from(batch), hubBatchType, undefined, [])).toThrow(tooLarge)
  })

  test('a body nested as deep as the limit allows is refused, not a crash', () => {
    const depth = limits.httpBodyBytesMax / 2
    const body = Buffer.from('['.repeat(depth) + ']'.repeat(depth))
    const refused = expect.objectContaining({ code: expect.stringMatching(/^INGEST_/) })
    expect(() => readMessages(body, '', 'array', [])).toThrow(refused)
    expect(() => readMessages(body, hubBatchType, undefined, [])).toThrow(refused)
  })

  test('properties that would not fit an envelope are refused as too large', () => {
    const batch = (value: string) => Buffer.from(JSON.stringify([{ body: '', properties: { 'iothub-app-a': value } }]))
    const tooLarge = expect.objectContaining({ code: 'INGEST_FRAME_TOO_LARGE' })
    expect(() => readMessages(batch('x'.repeat(600_000)), hubBatchType, undefined, [])).toThrow(tooLarge)
  })

  test('a request of very many small messages is refused before it holds up the others', () => {
    const tooLarge = expect.objectContaining({ code: 'INGEST_FRAME_TOO_LARGE' })
    const count = limits.httpMessagesMax
    expect(readMessages(Buffer.from('1\n'.repeat(count)), '', 'lines', [])).toHaveLength(count)
    expect(() => readMessages(Buffer.from('1\n'.repeat(count + 1)), '', 'lines', [])).toThrow(tooLarge)
    expect(() => readMessages(Buffer.from(`[${'1,'.repeat(count)}1]`), '', 'array', [])).toThrow(tooLarge)
  })
})
