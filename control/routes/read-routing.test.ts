import { describe, expect, test } from 'vitest'
import { emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import { readRouting, shownRouting } from './read-routing.ts'

const next = { revision: 1, atMs: 1_700_000_000_000 }
const hook = { name: 'hook', kind: 'webhook', url: 'https://example.net/in' }

function read(json: unknown, kept: RoutingDocument = emptyRouting): RoutingDocument {
  const { document, problems } = readRouting(json, kept, next)
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  return document
}

function faults(json: unknown, kept: RoutingDocument = emptyRouting): Record<string, string> {
  const { problems } = readRouting(json, kept, next)
  return Object.fromEntries(problems.map(({ path, message }) => [path, message]))
}

describe('the document of routes', () => {
  test('an empty document has no routes', () => {
    expect(read({})).toEqual(emptyRouting)
  })

  test('what is left out has the defaults of the hub', () => {
    const document = read({ routes: [{ name: 'r', endpointNames: ['events'] }] })
    expect(document.routes).toEqual([
      { name: 'r', source: 'DeviceMessages', condition: 'true', endpointNames: ['events'], isEnabled: true },
    ])
  })

  test('settings of a kind get their defaults', () => {
    expect(read({ endpoints: [hook] }).endpoints[0]).toMatchObject({
      name: 'hook',
      from: 'now',
      whenBehind: 'expire',
      isEnabled: true,
      settings: { url: 'https://example.net/in', format: 'json', messagesMax: 1_000 },
    })
  })

  test('every fault is named at its place, at once', () => {
    const found = faults({
      routes: [
        { name: 'a b', endpointNames: ['nowhere'], condition: 'level >' },
        { name: 'r', endpointNames: [] },
        { name: 'R', endpointNames: ['events'], source: 'Everything' },
      ],
      enrichments: [{ key: 'k k', value: '$twin.other.x', endpointNames: ['events'] }],
      endpoints: [
        { ...hook, url: 'ftp://x', messagesMax: 0, extra: 1 },
        { name: 'q', kind: 'pigeon' },
      ],
      other: [],
    })
    expect(Object.keys(found).sort()).toEqual([
      'endpoints[0].extra',
      'endpoints[0].messagesMax',
      'endpoints[0].url',
      'endpoints[1].kind',
      'enrichments[0].key',
      'enrichments[0].value',
      'other',
      'routes[0].condition',
      'routes[0].endpointNames[0]',
      'routes[0].name',
      'routes[1].endpointNames',
      'routes[2].name',
      'routes[2].source',
    ])
    expect(found['endpoints[1].kind']).toContain('webhook')
    expect(found['routes[0].endpointNames[0]']).toContain('hook')
  })

  test('brokers and what proves a user fit together, each fault at its field', () => {
    const bus = { name: 'bus', kind: 'kafka', brokers: 'kafka-1.example:9093,[2001:db8::1]:9093', topic: 'telemetry' }
    const faultsOf = (changes: object) =>
      Object.keys(faults({ endpoints: [{ ...bus, ...changes }] })).map((path) => path.replace('endpoints[0].', ''))
    const user = { user: 'u', password: 'p' }
    const pem = '-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n'
    for (const changes of [
      {},
      { sasl: 'scram-sha-256', ...user },
      { sasl: 'scram-sha-512', ...user, tls: 'off' },
      { sasl: 'plain', ...user, ca: pem },
      { sasl: 'plain', ...user, tls: 'off', brokers: 'localhost:9092,127.0.0.1:9093,[::1]:9094' },
      { certificate: pem, key: pem },
    ])
      expect(faultsOf(changes), JSON.stringify(changes)).toEqual([])
    expect(faultsOf({ sasl: 'plain' })).toEqual(['user', 'password'])
    expect(faultsOf({ sasl: 'plain', ...user, tls: 'off' })).toEqual(['tls'])
    expect(faultsOf({ sasl: 'plain', ...user, tls: 'off', brokers: '127.0.0.1:1,127.example:1' })).toEqual(['tls'])
    expect(faultsOf({ certificate: pem })).toEqual(['key'])
    expect(faultsOf({ markerTopic: 'telemetry' })).toEqual(['markerTopic'])
    expect(faultsOf({ user: 'u\nv' })).toEqual(['user'])
    for (const brokers of ['kafka', 'kafka:', 'http://kafka:1', 'a:1,', '2001:db8::1:9092', 'a:1 b:2'])
      expect(faultsOf({ brokers }), brokers).toEqual(['brokers'])
    for (const topic of ['', '.', '..', 'a b', 'ä', 'x'.repeat(250)])
      expect(faultsOf({ topic }), topic).toEqual(['topic'])
  })

  test('a fault of a condition has its line and column', () => {
    const { problems } = readRouting(
      { routes: [{ name: 'r', endpointNames: ['events'], condition: "a = 'b'\nAND c >" }] },
      emptyRouting,
      next,
    )
    expect(problems[0]).toMatchObject({ path: 'routes[0].condition', location: { start: { line: 2 } } })
  })

  test.each([['not an object'], [[]], [null], [7]])('%j is no document', (json) => {
    expect(Object.keys(faults(json))).toEqual([''])
  })

  test.each(['events', 'fileNotifications', '$default'])('%s is no name of an endpoint', (name) => {
    expect(faults({ endpoints: [{ ...hook, name }] })['endpoints[0].name']).toBeDefined()
  })

  test('a format of names must have all its parts, and lead nowhere else', () => {
    const file = { name: 'archive', kind: 'file', folder: '/archive' }
    const fault = (more: object) => faults({ endpoints: [{ ...file, ...more }] })['endpoints[0].nameFormat']
    const whole = '{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}'
    expect(fault({})).toBeUndefined()
    expect(fault({ nameFormat: whole })).toBeUndefined()
    expect(fault({ nameFormat: '{iothub}/{YYYY}/{MM}/{DD}/{HH}/{mm}' })).toContain('{partition} must be in it')
    expect(fault({ nameFormat: `../${whole}` })).toContain('not one of dots')
    expect(fault({ nameFormat: 7 })).toBe('a text is expected, this is a number')
  })

  test('an Azure account has a key or a signature', () => {
    const blobs = { name: 'blobs', kind: 'azureBlob', account: 'fleet', container: 'telemetry' }
    const key = { accountKey: Buffer.alloc(64).toString('base64') }
    const sas = { sasToken: '?sv=2021&sr=c&sp=rcwl&sig=a%2Fb%3D' }
    const found = (more: object, kept?: RoutingDocument) => faults({ endpoints: [{ ...blobs, ...more }] }, kept)
    expect(found(key)).toEqual({})
    expect(found(sas)).toEqual({})
    const either = { 'endpoints[0].accountKey': 'either accountKey or sasToken is expected, and not both' }
    expect(found({})).toEqual(either)
    expect(found({ ...key, ...sas })).toEqual(either)
    // The key that is kept counts as given.
    expect(found({}, read({ endpoints: [{ ...blobs, ...key }] }))).toEqual({})
  })

  test('an address with a password in it is refused, and the password not repeated', () => {
    const found = faults({ endpoints: [{ ...hook, url: 'https://me:hunter2@example.net/' }] })
    expect(JSON.stringify(found)).not.toContain('hunter2')
    expect(found['endpoints[0].url']).toContain('fields of their own')
  })

  test.each([
    { ...hook, url: 'https://example.net/in?code=hunter2' },
    { ...hook, url: 'https://example.net/in#hunter2' },
    { name: 'table', kind: 'clickhouse', table: 't', url: 'http://example.net/?password=hunter2' },
    { name: 'rows', kind: 'postgres', user: 'u', table: 't', url: 'postgres://example.net/db?password=hunter2' },
    { name: 'queue', kind: 'amqp', queue: 'q', url: 'amqps://example.net/?sig=hunter2' },
    { name: 'stream', kind: 'nats', url: 'tls://example.net/?token=hunter2' },
    { name: 'topic', kind: 'mqtt', url: 'mqtts://example.net/?password=hunter2' },
  ])('an address of $kind that goes on behind ? or # is refused, and that not repeated', (endpoint) => {
    const found = faults({ endpoints: [endpoint] })
    expect(JSON.stringify(found)).not.toContain('hunter2')
    expect(found['endpoints[0].url']).toContain('must end before ? and #')
  })

  test('a text with control characters is refused', () => {
    expect(faults({ endpoints: [{ ...hook, authorization: 'a\r\nx: y' }] })['endpoints[0].authorization']).toBeDefined()
    expect(faults({ endpoints: [{ ...hook, headers: { x: 'a\nb' } }] })['endpoints[0].headers.x']).toBeDefined()
  })

  test('a header whose value could not be sent is refused, and the value not repeated', () => {
    const value = 'Bearer 🔑 hunter2'
    const found = faults({ endpoints: [{ ...hook, authorization: value, headers: { x: value, y: 'é' } }] })
    expect(Object.keys(found)).toEqual(['endpoints[0].authorization', 'endpoints[0].headers.x'])
    expect(JSON.stringify(found)).not.toContain('hunter2')
  })

  test.each(['Host', 'content-length', 'Webhook-Signature', 'a b', 'a:b', ''])('%j is no name of a header', (name) => {
    expect(faults({ endpoints: [{ ...hook, headers: { [name]: 'x' } }] })['endpoints[0].headers']).toBeDefined()
  })
})

describe('where an endpoint begins', () => {
  const later = { revision: 9, atMs: next.atMs + 60_000 }
  const began = (from: string) =>
    readRouting({ endpoints: [{ ...hook, from }] }, emptyRouting, next).document.endpoints[0]

  test.each([
    ['now', next.atMs],
    ['oldest', 0],
    ['2023-01-01T00:00:00+01:00', Date.UTC(2022, 11, 31, 23)],
  ])('%s', (from, startsAtMs) => {
    expect(began(from)).toMatchObject({ generation: 1, startsAtMs })
  })

  test.each(['yesterday', '2023', '1700000000000', ''])('%j is nowhere', (from) => {
    expect(faults({ endpoints: [{ ...hook, from }] })['endpoints[0].from']).toContain('oldest')
  })

  test('stays when the document changes, and an endpoint that is made anew begins anew', () => {
    const kept = read({ endpoints: [hook] })
    const changed = readRouting({ endpoints: [{ ...hook, from: 'oldest', messagesMax: 5 }] }, kept, later).document
    expect(changed.endpoints[0]).toMatchObject({ generation: 1, startsAtMs: next.atMs })
    expect(readRouting({ endpoints: [hook] }, emptyRouting, later).document.endpoints[0]).toMatchObject({
      generation: 9,
      startsAtMs: later.atMs,
    })
  })
})

describe('secrets of endpoints', () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
  const kept = read({ endpoints: [{ ...hook, secret }] })

  test('are never shown', () => {
    const shown = JSON.stringify(shownRouting(kept))
    expect(shown).not.toContain(secret)
    expect(shown).toContain('"secret":{"isSet":true}')
  })

  test('stay where what was shown is written back', () => {
    expect(read(shownRouting(kept), kept)).toEqual(kept)
  })

  test('stay where they are left out', () => {
    expect(read({ endpoints: [{ ...hook, messagesMax: 5 }] }, kept).endpoints[0]?.settings.secret).toBe(secret)
  })

  test('do not follow an endpoint that sends to another place', () => {
    const moved = { ...hook, url: 'https://attacker.example/' }
    expect(faults({ endpoints: [{ ...moved, secret: { isSet: true } }] }, kept)['endpoints[0].secret']).toContain(
      'again',
    )
    expect(faults({ endpoints: [moved] }, kept)['endpoints[0].secret']).toContain('again')
    expect(read({ endpoints: [{ ...moved, secret }] }, kept).endpoints[0]?.settings.secret).toBe(secret)
  })

  test('of another endpoint are not to be had by its name', () => {
    expect(faults({ endpoints: [{ ...hook, name: 'other', secret: { isSet: true } }] }, kept)).toEqual({
      'endpoints[0].secret': expect.stringContaining('must be given'),
    })
  })

  test('go where null takes their place', () => {
    expect(read({ endpoints: [{ ...hook, secret: null }] }, kept).endpoints[0]?.settings.secret).toBeUndefined()
    const moved = { ...hook, url: 'https://elsewhere.example/', secret: null }
    expect(read({ endpoints: [moved] }, kept).endpoints[0]?.settings.secret).toBeUndefined()
  })

  test('what comes behind an address is one, and where it changes the others must be given again', () => {
    const both = read({ endpoints: [{ ...hook, urlRest: '?code=hunter2', secret }] })
    expect(JSON.stringify(shownRouting(both))).not.toContain('hunter2')
    expect(read(shownRouting(both), both)).toEqual(both)
    const again = expect.stringContaining('again')
    expect(faults({ endpoints: [{ ...hook, urlRest: '?code=other' }] }, both)).toEqual({ 'endpoints[0].secret': again })
    expect(faults({ endpoints: [{ ...hook, url: 'https://attacker.example/' }] }, both)).toEqual({
      'endpoints[0].urlRest': again,
      'endpoints[0].secret': again,
    })
  })

  test('a refused one is not repeated', () => {
    expect(JSON.stringify(faults({ endpoints: [{ ...hook, secret: 'not base64!' }] }))).not.toContain('not base64!')
  })

  test('an endpoint does not change its kind', () => {
    const other = { name: 'hook', kind: 'file', folder: '/tmp/x' }
    expect(faults({ endpoints: [other] }, kept)['endpoints[0].kind']).toContain('another name')
  })
})

describe('secrets with names of their own, such as headers', () => {
  const given = { ...hook, headers: JSON.parse('{"X-Key":"hunter2","__proto__":"hunter3"}') }
  const kept = read({ endpoints: [given] })
  const headersOf = (endpoint: object) => read({ endpoints: [endpoint] }, kept).endpoints[0]?.settings.headers

  test('are shown by their names', () => {
    const shown = JSON.stringify(shownRouting(kept))
    expect(shown).not.toContain('hunter')
    expect(shown).toContain('"headers":{"X-Key":{"isSet":true},"__proto__":{"isSet":true}}')
  })

  test('stay where what was shown is written back, and where all are left out', () => {
    expect(read(JSON.parse(JSON.stringify(shownRouting(kept))), kept)).toEqual(kept)
    expect(headersOf(hook)).toEqual(given.headers)
  })

  test('come, change and go one by one', () => {
    const isSet = { isSet: true }
    expect(headersOf({ ...hook, headers: { 'X-Key': isSet, 'X-More': 'hunter4' } })).toEqual({
      'X-Key': 'hunter2',
      'X-More': 'hunter4',
    })
    expect(headersOf({ ...hook, headers: { 'X-Key': 'hunter5' } })).toEqual({ 'X-Key': 'hunter5' })
    expect(headersOf({ ...hook, headers: {} })).toEqual({})
    expect(headersOf({ ...hook, headers: null })).toBeUndefined()
  })

  test('of a name that is not there, or of an endpoint that sends elsewhere, are not to be had', () => {
    const again = expect.stringContaining('again')
    const asked = (name: string) => ({ headers: { [name]: { isSet: true } } })
    expect(faults({ endpoints: [{ ...hook, ...asked('constructor') }] }, kept)).toEqual({
      'endpoints[0].headers.constructor': expect.stringContaining('must be given, or left out'),
    })
    expect(faults({ endpoints: [{ ...hook, secret: { isSet: true }, ...asked('x') }] })).toEqual({
      'endpoints[0].secret': expect.stringContaining('must be given, or null'),
      'endpoints[0].headers.x': expect.stringContaining('must be given, or left out'),
    })
    const moved = { ...hook, url: 'https://attacker.example/' }
    expect(faults({ endpoints: [{ ...moved, ...asked('X-Key') }] }, kept)).toEqual({
      'endpoints[0].headers.X-Key': again,
    })
    expect(faults({ endpoints: [moved] }, kept)).toEqual({ 'endpoints[0].headers': again })
  })
})
