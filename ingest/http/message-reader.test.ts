import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { hubBatchType, readMessages } from './message-reader.ts'

function read(body: string, contentType = '', split?: string, headers: Record<string, string> = {}) {
  return readMessages(Buffer.from(body), contentType, split, Object.entries(headers)).map((message) => ({
    body: String(message.body),
    properties: Object.fromEntries(message.properties.application),
    system: Object.fromEntries(message.properties.system),
  }))
}
const bodies = (...args: Parameters<typeof read>) => read(...args).map(({ body }) => body)

describe('the messages of a request', () => {
  test('a body is one message, whatever it is, and headers are its properties', () => {
    const headers = {
      'iothub-messageid': 'm',
      'iothub-correlationid': 'c',
      'iothub-contenttype': 'text/plain',
      'iothub-app-iothub-creation-time-utc': '2026-01-01T00:00:00Z',
      'iothub-app-room': '1',
      'iothub-ack': 'full',
      'iothub-to': '/devices/d1/messages/events',
      authorization: 'secret',
      'user-agent': 'x',
    }
    const system = {
      messageId: 'm',
      correlationId: 'c',
      contentType: 'text/plain',
      creationTime: '2026-01-01T00:00:00Z',
    }
    expect(read('[1,2]', 'application/json', undefined, headers)).toEqual([
      { body: '[1,2]', properties: { room: '1', 'iothub-ack': 'full' }, system },
    ])
    expect(bodies('')).toEqual([''])
  })

  test("the hub's batch: each body decoded, each with its own properties", () => {
    const batch = [
      { body: Buffer.from([0, 255]).toString('base64'), properties: { 'iothub-app-a': 'b', 'iothub-messageid': '1' } },
      { body: 'as it stands', base64Encoded: false, properties: { 'iothub-app-n': 5, 'iothub-app-t': true } },
      { body: '' },
    ]
    const messages = readMessages(Buffer.from(JSON.stringify(batch)), `${hubBatchType}; charset=utf-8`, undefined, [])
    expect(messages.map(({ body }) => body)).toEqual([
      Buffer.from([0, 255]),
      Buffer.from('as it stands'),
      Buffer.alloc(0),
    ])
    expect(messages.map(({ properties }) => Object.fromEntries(properties.application))).toEqual([
      { a: 'b' },
      { n: '5', t: 'true' },
      {},
    ])
    expect(Object.fromEntries(messages[0]?.properties.system ?? [])).toEqual({ messageId: '1' })
  })

  test.each([
    ['a', undefined],
    ['ab', undefined],
    ['abc', undefined],
    ['aGk', undefined],
    ['ab!d', undefined],
    ['not base64!!', undefined],
    ['aGk=aGk=', undefined],
    ['a===', undefined],
    ['====', undefined],
    ['=aaa', undefined],
    ['aG k', undefined],
    ['', ''],
    ['aGk=', 'hi'],
    ['YQ==', 'a'],
    ['Pj4-', '>>>'],
    ['Pj4+', '>>>'],
  ])('a body of the hub batch that is said to be base64 is that, or the batch is refused: %j', (text, read) => {
    const batch = () => readMessages(Buffer.from(JSON.stringify([{ body: text }])), hubBatchType, undefined, [])
    if (read === undefined) expect(batch).toThrow(expect.objectContaining({ code: 'INGEST_BODY_MALFORMED' }))
    else expect(batch().map(({ body }) => String(body))).toEqual([read])
  })

  test.each([
    ['base64Encoded that is no truth value', '[{"body":"aGk=","base64Encoded":"false"}]'],
    ['bytes that are not UTF-8', '[{"body":"aGk=","properties":{"a":"\xff"}}]'],
  ])('%s is refused, and not taken for something else', (_what, text) => {
    expect(() => readMessages(Buffer.from(text, 'latin1'), hubBatchType, undefined, [])).toThrow(
      expect.objectContaining({ code: 'INGEST_BODY_MALFORMED' }),
    )
  })

  test('split=array: each element exactly as it was sent', () => {
    const text = ' [ {"a" : 12345678901234567890} ,\n1.0, "x,]\\"[", [1,[2]], "é\\\\" , {"b":{}},null ] '
    const elements = ['{"a" : 12345678901234567890}', '1.0', '"x,]\\"["', '[1,[2]]', '"é\\\\"', '{"b":{}}', 'null']
    expect(bodies(text, '', 'array')).toEqual(elements)
    expect(bodies('[]', '', 'array')).toEqual([])
    expect(bodies('[\n]', '', 'array')).toEqual([])
    expect(read('[1]', '', 'array')[0]?.system).toEqual({ contentType: 'application/json' })
  })

  test('split=array agrees with JSON.parse on any array', () => {
    let seed = 7
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return Math.floor((seed / 2_147_483_648) * below)
    }
    const value = (depth: number): unknown => {
      switch (random(depth > 3 ? 4 : 6)) {
        case 0:
          return random(1000) / 10
        case 1:
          return ['', '"', '\\', ',', '[]{}', 'é\u2028\n'][random(6)]
        case 2:
          return null
        case 3:
          return random(2) === 0
        case 4:
          return Array.from({ length: random(4) }, () => value(depth + 1))
        default:
          return Object.fromEntries(Array.from({ length: random(4) }, () => [`k"${random(9)}`, value(depth + 1)]))
      }
    }
    for (let round = 0; round < 300; round++) {
      const array = Array.from({ length: random(5) }, () => value(0))
      const text = JSON.stringify(array, undefined, random(3))
      expect(bodies(text, '', 'array').map((element) => JSON.parse(element))).toEqual(array)
    }
  })

  test('lines: by split=lines or by content type, without empty ones and line ends', () => {
    expect(bodies('a\r\n\nb\n \nc', '', 'lines')).toEqual(['a', 'b', ' ', 'c'])
    expect(bodies('1\n2\n', 'application/x-ndjson')).toEqual(['1', '2'])
    expect(bodies('\n\n', '', 'lines')).toEqual([])
  })

  test.each([
    ['{', hubBatchType, undefined],
    ['{}', hubBatchType, undefined],
    ['[{}]', hubBatchType, undefined],
    ['[null]', hubBatchType, undefined],
    ['[{"body":"","properties":[]}]', hubBatchType, undefined],
    ['[{"body":"","properties":{"a":{}}}]', hubBatchType, undefined],
    ['[1,]', '', 'array'],
    ['{}', '', 'array'],
    ['"[', '', 'array'],
    ['x', '', 'words'],
  ])('%s as %s, split %s is refused as malformed', (body, type, split) => {
    expect(() => read(body, type, split)).toThrow(expect.objectContaining({ code: 'INGEST_BODY_MALFORMED' }))
  })

  test('a nest of any depth is a fault or a message, never a crash', () => {
    const nest = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
    try {
      expect(bodies(nest, '', 'array').length).toBeLessThanOrEqual(1)
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^INGEST_/) })
    }
  })

  test('a body and its properties have their limits, alone and in a batch', () => {
    const largest = 'x'.repeat(limits.bodyBytesMax)
    const tooLarge = expect.objectContaining({ code: 'INGEST_FRAME_TOO_LARGE' })
    expect(read(largest).length).toBe(1)
    expect(() => read(`${largest}y`)).toThrow(tooLarge)
    expect(() => read(`[1,"${largest}"]`, '', 'array')).toThrow(tooLarge)
    const property = 'p'.repeat(limits.httpPropertyBytesMax)
    expect(() => read(JSON.stringify([{ body: '', properties: { 'iothub-app-a': property } }]), hubBatchType)).toThrow(
      tooLarge,
    )
    expect(() => read('', '', undefined, { 'iothub-app-a': property })).toThrow(tooLarge)
  })
})
