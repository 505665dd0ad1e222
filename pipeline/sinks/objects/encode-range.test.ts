import { describe, expect, test } from 'vitest'
import { messagesAt, rangeAt } from '#pipeline/endpoints/selected-fixture.ts'
import { selectedFromMessages } from '#pipeline/endpoints/selected-messages.ts'
import type { SelectedMessage, SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import type { ObjectEncoding } from '#schemas/endpoint-kinds/object-fields.ts'
import { encodeRange } from './encode-range.ts'
import { recordsOfFile } from './object-contents-fixture.ts'

async function encoded(selected: SelectedRange, encoding: ObjectEncoding): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeRange(selected, encoding)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function selected(...messages: readonly Partial<SelectedMessage>[]): SelectedRange {
  const all = messages.map((message, index) => {
    const [head] = messagesAt(7, ['x'])
    const whole = { ...(head as SelectedMessage), properties: {}, systemProperties: {}, index, ...message }
    return { ...whole, bytes: envelopeBytes(whole) }
  })
  return selectedFromMessages(rangeAt(7, [['x']]).range, all)
}

const json = { contentType: 'application/json', contentEncoding: 'utf-8' }
const sent = {
  deviceId: 'press-7',
  enqueuedAtMs: Date.UTC(2026, 4, 4, 8, 15, 0, 120),
  body: Buffer.from('{"t": 21.50,\n "é": [1]}'),
  properties: { level: 'high' },
  systemProperties: { ...json, moduleId: 'm1', messageId: '4711', creationTime: '2026-05-04T08:15:00Z' },
}
const systemProperties = {
  connectionDeviceId: 'press-7',
  connectionModuleId: 'm1',
  contentType: 'application/json',
  contentEncoding: 'utf-8',
  'creation-time-utc': '2026-05-04T08:15:00Z',
  enqueuedTime: '2026-05-04T08:15:00.1200000Z',
  messageId: '4711',
}

describe("the hub's JSON form", () => {
  test('is an object a line, in which a body that says it is JSON stands as it was sent', async () => {
    const text = String(await encoded(selected(sent, { ...sent, body: Buffer.from('plain') }), 'json'))
    const [line = '', other = '', end] = text.split('\n')
    expect(end).toBe('')
    expect(JSON.parse(line)).toEqual({
      EnqueuedTimeUtc: '2026-05-04T08:15:00.1200000Z',
      Properties: { level: 'high' },
      SystemProperties: systemProperties,
      Body: { t: 21.5, é: [1] },
    })
    expect(line).toContain('"Body":{"t": 21.50,  "é": [1]}}')
    expect(JSON.parse(other).Body).toBe(Buffer.from('plain').toString('base64'))
  })

  test.each([
    ['without a content type', '{"a":1}', {}],
    ['of another type', '{"a":1}', { contentType: 'text/plain', contentEncoding: 'utf-8' }],
    ['without an encoding', '{"a":1}', { contentType: 'application/json' }],
    ['that only says it is JSON', '{"a":', json],
    ['of bytes', new Uint8Array([0, 255]), {}],
    ['of nothing', '', json],
  ])('has a body %s as base64', async (_what, body, of) => {
    const bytes = Buffer.from(body as string)
    const line = JSON.parse(String(await encoded(selected({ body: bytes, systemProperties: of }), 'json')))
    expect(line.Body).toBe(bytes.toString('base64'))
  })

  test.each([
    ['utf-16', Buffer.from('{"ä":1}', 'utf16le'), { ä: 1 }],
    ['UTF-8', Buffer.from('7'), 7],
  ])('reads a body in %s', async (contentEncoding, body, expected) => {
    const of = { contentType: 'application/json', contentEncoding }
    const line = JSON.parse(String(await encoded(selected({ body, systemProperties: of }), 'json')))
    expect(line.Body).toEqual(expected)
  })
})

describe("the hub's Avro form", () => {
  test.each(['avro', 'avroDeflate'] as const)('%s is read by any Avro library', async (encoding) => {
    const body = Buffer.from([0, 1, 255])
    const [record, other] = await recordsOfFile(await encoded(selected(sent, { body }), encoding))
    expect(record).toEqual({
      EnqueuedTimeUtc: '2026-05-04T08:15:00.1200000Z',
      Properties: { level: 'high' },
      SystemProperties: systemProperties,
      Body: sent.body,
    })
    expect(other?.Body).toEqual(body)
    expect(other?.Properties).toEqual({})
  })

  test('names its record as the hub does', async () => {
    const header = (await encoded(selected(sent), 'avro')).toString('latin1')
    expect(header.slice(0, 4)).toBe('Obj\x01')
    expect(header).toContain('"name":"Message","namespace":"Microsoft.Azure.Devices"')
    expect(header).toContain('{"name":"Body","type":["null","bytes"]}')
  })

  test('deflated is smaller, and in blocks that a reader can hold', async () => {
    const many = rangeAt(0, [Array.from({ length: 5_000 }, (_, index) => `${index} ${'x'.repeat(300)}`)])
    const [plain, deflated] = await Promise.all([encoded(many, 'avro'), encoded(many, 'avroDeflate')])
    expect(deflated.length * 5).toBeLessThan(plain.length)
    expect(await recordsOfFile(deflated)).toHaveLength(5_000)
    expect(plain.toString('latin1').split('penstock.hub.rec').length - 2).toBe(5)
  })
})

test('our own batches are stored as they lie on the log', async () => {
  const range = rangeAt(0, [['a', 'b'], ['c']])
  const chunks = await range.avro()
  expect(await encoded(range, 'batches')).toEqual(Buffer.concat(chunks))
  expect(await encoded(range, 'batches')).toEqual(
    batchFromMessages([...messagesAt(0, ['a', 'b']), ...messagesAt(1, ['c'])]),
  )
})

test.each(['json', 'avro', 'avroDeflate', 'batches'] as const)(
  '%s: the same range is the same bytes',
  async (encoding) => {
    const range = () => rangeAt(0, [['a', '{"b":1}'], ['c']])
    expect(await encoded(range(), encoding)).toEqual(await encoded(range(), encoding))
  },
)
