import { describe, expect, test } from 'vitest'
import { jsonFrom } from '#control/rest/json-body.ts'
import { clientAddressOf } from '#control/rest/rest.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import { contentFrom, documentOf, twinDocument } from './documents.ts'
import { generatedKeys, type Identity } from './identity.ts'

const id = { deviceId: 'd', moduleId: undefined }
const plain = {
  ...id,
  status: 'enabled',
  statusReason: undefined,
  authentication: generatedKeys,
  iotEdge: false,
  deviceScope: undefined,
  parentScope: undefined,
  managedBy: undefined,
}
const key = Buffer.alloc(32, 1).toString('base64')
const thumbprint = 'AB'.repeat(20)
const invalid = expect.objectContaining({ code: 'REGISTRY_ARGUMENT_INVALID' })

describe('what a caller wants an identity to be', () => {
  test('is what the hub makes of nothing said, and of null', () => {
    const nothing = {
      deviceId: null,
      status: null,
      authentication: null,
      parentScopes: null,
      statusReason: null,
      other: 1,
    }
    for (const document of [{}, { deviceId: 'd' }, nothing]) expect(contentFrom(document, id)).toEqual(plain)
  })

  test('is read field by field', () => {
    const document = {
      status: 'Disabled',
      statusReason: 'why',
      capabilities: { iotEdge: true },
      deviceScope: 'scope',
      parentScopes: ['parent'],
      managedBy: 'me',
    }
    expect(contentFrom(document, id)).toEqual({
      ...plain,
      status: 'disabled',
      statusReason: 'why',
      iotEdge: true,
      deviceScope: 'scope',
      parentScope: 'parent',
      managedBy: 'me',
    })
    // A module has no edge above it of its own.
    const module = { deviceId: 'd', moduleId: 'm' }
    expect(contentFrom({ parentScopes: ['parent'] }, module)).toMatchObject({ ...module, parentScope: undefined })
    expect(contentFrom({ capabilities: { iotEdge: 'true' } }, id).iotEdge).toBe(false)
  })

  test.each([
    ['keys', { type: 'SAS', symmetricKey: { primaryKey: key, secondaryKey: '' } }, { primaryKey: key }],
    ['keys without a type', { symmetricKey: { secondaryKey: key } }, { secondaryKey: key }],
    [
      'thumbprints',
      { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: 'ab:'.repeat(20) } },
      { kind: 'selfSigned', primaryThumbprint: thumbprint },
    ],
    [
      'a thumbprint without a type',
      { x509Thumbprint: { secondaryThumbprint: thumbprint } },
      { kind: 'selfSigned', secondaryThumbprint: thumbprint },
    ],
    [
      'an authority',
      { type: 'certificateAuthority', symmetricKey: { primaryKey: key } },
      { kind: 'certificateAuthority' },
    ],
    [
      'an authority, whose thumbprints are left aside',
      { type: 'certificateAuthority', x509Thumbprint: { primaryThumbprint: thumbprint } },
      { kind: 'certificateAuthority' },
    ],
    ['none', { type: 'none' }, { kind: 'none' }],
  ])('proof: %s', (_name, authentication, expected) => {
    expect(contentFrom({ authentication }, id).authentication).toEqual({ ...generatedKeys, ...expected })
  })

  test.each<[string, unknown]>([
    ['no object', []],
    ['nothing at all', null],
    ['another device', { deviceId: 'e' }],
    ['a module in a device', { moduleId: 'm' }],
    ['a status that is none', { status: 'paused' }],
    ['a reason that is no text', { statusReason: 1 }],
    ['two parents', { parentScopes: ['a', 'b'] }],
    ['a parent that is no list', { parentScopes: 'a' }],
    ['a parent that is no text', { parentScopes: [1] }],
    ['a proof that is no object', { authentication: 'sas' }],
    ['a kind of proof that is none', { authentication: { type: 'toString' } }],
    ['a key that is no text', { authentication: { symmetricKey: { primaryKey: 1 } } }],
    ['a thumbprint that is none', { authentication: { x509Thumbprint: { primaryThumbprint: 'xyz' } } }],
  ])('%s is refused', (_name, document) => {
    expect(() => contentFrom(document, id)).toThrow(invalid)
  })

  test('a body is JSON', () => {
    expect(jsonFrom(Buffer.from('{"a":1}'))).toEqual({ a: 1 })
    for (const text of ['', '{', '\ufeff{}'])
      expect(() => jsonFrom(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'REGISTRY_BODY_MALFORMED' }))
  })
})

describe('what a caller is shown of an identity', () => {
  const device: Identity = {
    ...plain,
    status: 'enabled',
    generationId: 'g',
    etag: 'e',
    createdAtMs: 1_000,
    statusUpdatedAtMs: undefined,
    connected: false,
    connectionUpdatedAtMs: undefined,
    lastActivityAtMs: 2_000,
    modelId: undefined,
    commandsWaiting: 3,
    authentication: { ...generatedKeys, primaryKey: key },
  }

  test('a device, and a module: golden', () => {
    const authentication = {
      type: 'sas',
      symmetricKey: { primaryKey: key, secondaryKey: null },
      x509Thumbprint: { primaryThumbprint: null, secondaryThumbprint: null },
    }
    const shared = {
      generationId: 'g',
      etag: 'e',
      connectionState: 'Disconnected',
      connectionStateUpdatedTime: '0001-01-01T00:00:00Z',
      lastActivityTime: '1970-01-01T00:00:02.000Z',
      cloudToDeviceMessageCount: 3,
      authentication,
    }
    expect(documentOf(device)).toEqual({
      ...shared,
      deviceId: 'd',
      status: 'enabled',
      statusReason: null,
      statusUpdatedTime: '0001-01-01T00:00:00Z',
      capabilities: { iotEdge: false },
      parentScopes: [],
    })
    expect(documentOf({ ...device, deviceScope: 's', parentScope: 'p', connected: true })).toMatchObject({
      deviceScope: 's',
      parentScopes: ['p'],
      connectionState: 'Connected',
    })
    expect(documentOf({ ...device, moduleId: 'm' })).toEqual({
      ...shared,
      deviceId: 'd',
      moduleId: 'm',
      managedBy: null,
    })
  })

  test('a twin never shows a key', () => {
    const part = { etag: 'AAAAAAAAAAE=', version: 2, tags: {}, properties: {}, configurations: {} }
    const twin = JSON.stringify(twinDocument({ ...device, moduleId: 'm', statusReason: 'why' }, part))
    expect(twin).not.toContain(key)
    expect(JSON.parse(twin)).toMatchObject({
      moduleId: 'm',
      authenticationType: 'sas',
      statusReason: 'why',
      deviceEtag: 'e',
    })
    expect(twinDocument(device, part)).not.toHaveProperty('moduleId')
    expect(twinDocument(device, part)).not.toHaveProperty('statusReason')
  })
})

test('whose request it is an edge of this machine may say, and nobody else', () => {
  const of = (remoteAddress: string, told: string) =>
    clientAddressOf({ remoteAddress, header: () => told } as unknown as HttpRequest)
  expect(of('127.0.0.1', '192.0.2.1')).toBe('192.0.2.1')
  expect(of('::1', '2001:db8::1')).toBe('2001:db8::1')
  expect(of('192.0.2.9', '192.0.2.1')).toBe('192.0.2.9')
  for (const told of ['', 'a name', '192.0.2.1 x']) expect(of('127.0.0.1', told)).toBe('127.0.0.1')
})
