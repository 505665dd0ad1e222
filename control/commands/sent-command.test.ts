import { describe, expect, test } from 'vitest'
import { commandFromDocument } from './sent-command.ts'

const to = '/devices/d%201/modules/m/messages/devicebound'
const from = (document: unknown) => commandFromDocument(Buffer.from(JSON.stringify(document)))

describe('a command as JSON', () => {
  test('keeps the case of its properties, and its body byte for byte', () => {
    const body = Buffer.from([0, 255, 10])
    const systemProperties = { mid: 'm', ct: 'text/plain', ce: '', exp: '2030-01-01T01:00:00+01:00' }
    expect(
      from({ to, ack: 'Full', systemProperties, properties: { 'Le vel': 'ö' }, body: body.toString('base64') }),
    ).toEqual({
      deviceId: 'd 1',
      moduleId: 'm',
      ack: 'full',
      systemProperties: new Map([
        ['mid', 'm'],
        ['ct', 'text/plain'],
        ['exp', '2030-01-01T00:00:00.000Z'],
      ]),
      applicationProperties: new Map([['Le vel', 'ö']]),
      body,
      expiresAtMs: Date.UTC(2030, 0, 1),
    })
    expect(from({ to, body: '' })).toMatchObject({ ack: 'none', expiresAtMs: undefined, body: Buffer.alloc(0) })
  })

  test.each([
    ['no JSON', Buffer.from('{'), 'REGISTRY_BODY_MALFORMED'],
    ['a list', [], 'COMMAND_INVALID'],
    ['nobody', { body: '' }, 'COMMAND_INVALID'],
    ['somebody in a wrong form', { to: 'd', body: '' }, 'COMMAND_INVALID'],
    ['a body that is not base64', { to, body: 'a!' }, 'COMMAND_INVALID'],
    ['an unknown system property', { to, body: '', systemProperties: { to } }, 'COMMAND_INVALID'],
    ['one by a name of objects', { to, body: '', systemProperties: { constructor: 'x' } }, 'COMMAND_INVALID'],
    ['an expiry that is no moment', { to, body: '', systemProperties: { exp: 'soon' } }, 'COMMAND_INVALID'],
    ['an ack that is none of them', { to, body: '', ack: 'maybe' }, 'COMMAND_INVALID'],
    ['a property that is no text', { to, body: '', properties: { a: 1 } }, 'COMMAND_INVALID'],
  ])('is refused with %s', (_what, document, code) => {
    const run = () => (Buffer.isBuffer(document) ? commandFromDocument(document) : from(document))
    expect(run).toThrow(expect.objectContaining({ code }))
  })
})
