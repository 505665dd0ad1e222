import { describe, expect, test } from 'vitest'
import { checkIdentityId, identityText, isIdentityId } from '#schemas/identity-id.ts'
import {
  type Authentication,
  checkIdentityContent,
  completedAuthentication,
  generatedKeys,
  type IdentityContent,
  isKey,
  isStorableText,
  newEtag,
  newGenerationId,
  newKey,
  thumbprintFrom,
} from './identity.ts'

const key = (bytes: number) => Buffer.alloc(bytes, 7).toString('base64')
const content = (changed: Partial<IdentityContent> = {}): IdentityContent => ({
  deviceId: 'd',
  moduleId: undefined,
  status: 'enabled',
  statusReason: undefined,
  authentication: generatedKeys,
  iotEdge: false,
  deviceScope: undefined,
  parentScope: undefined,
  managedBy: undefined,
  ...changed,
})
const authentication = (changed: Partial<Authentication>): Partial<IdentityContent> => ({
  authentication: { ...generatedKeys, ...changed },
})

describe('what the registry takes', () => {
  test('ids are 1 to 128 of the characters that the hub allows', () => {
    for (const id of ['a', "Az09-.+%_#*?!(),:=@$'", 'x'.repeat(128)]) expect(isIdentityId(id), id).toBe(true)
    for (const id of ['', 'x'.repeat(129), 'a/b', 'a b', 'a\n', 'é', 'a&b', 'a"b', 'a;b', 'a\\b', '\0'])
      expect(isIdentityId(id), id).toBe(false)
    const invalid = expect.objectContaining({ code: 'REGISTRY_ID_INVALID' })
    expect(() => checkIdentityId({ deviceId: 'd', moduleId: undefined })).not.toThrow()
    expect(() => checkIdentityId({ deviceId: 'd', moduleId: 'm' })).not.toThrow()
    expect(() => checkIdentityId({ deviceId: 'd/', moduleId: undefined })).toThrow(invalid)
    expect(() => checkIdentityId({ deviceId: 'd', moduleId: '' })).toThrow(invalid)
    expect(() => checkIdentityId({ deviceId: 'x'.repeat(500), moduleId: undefined })).toThrow(/"x{128}…"/)
  })

  test('a module is told from a device in a text', () => {
    expect(identityText({ deviceId: 'd', moduleId: undefined })).toBe('d')
    expect(identityText({ deviceId: 'd', moduleId: 'm' })).toBe('d/m')
  })

  test('keys are base64 of 16 to 64 bytes, as an encoder spells them', () => {
    for (const bytes of [16, 17, 32, 64]) expect(isKey(key(bytes)), `${bytes}`).toBe(true)
    for (const bytes of [0, 15, 65]) expect(isKey(key(bytes)), `${bytes}`).toBe(false)
    for (const text of [
      key(17).replace(/=+$/, ''),
      ` ${key(32)}`,
      `${key(32)}\n`,
      key(32).replace('B', '-'),
      'x'.repeat(45),
    ])
      expect(isKey(text), text).toBe(false)
    expect(isKey(newKey())).toBe(true)
    expect(newKey()).not.toBe(newKey())
  })

  test('thumbprints are SHA-1 or SHA-256, whatever separates their digits', () => {
    expect(thumbprintFrom('ab:CD '.repeat(10))).toBe('ABCD'.repeat(10))
    expect(thumbprintFrom('0a'.repeat(32))).toBe('0A'.repeat(32))
    for (const text of ['', 'a'.repeat(39), 'a'.repeat(41), 'a'.repeat(63), 'a'.repeat(65), 'g'.repeat(40)])
      expect(thumbprintFrom(text), text).toBe(undefined)
  })

  test('texts are what PostgreSQL can keep', () => {
    for (const text of ['', 'é', '😀']) expect(isStorableText(text)).toBe(true)
    for (const text of ['\0', 'a\0b', '\ud83d', '\ude00a']) expect(isStorableText(text)).toBe(false)
  })

  test.each<[string, Partial<IdentityContent>]>([
    ['an id with a slash', { deviceId: 'a/b' }],
    ['a module of an id that is none', { moduleId: 'a b' }],
    ['a reason that is too long', { statusReason: 'x'.repeat(129) }],
    ['a reason that cannot be kept', { statusReason: '\0' }],
    ['a key that is too short', authentication({ primaryKey: key(15) })],
    ['a second key that is none', authentication({ secondaryKey: 'x' })],
    ['a thumbprint in another spelling', authentication({ primaryThumbprint: 'ab'.repeat(20) })],
    ['a second thumbprint that is none', authentication({ secondaryThumbprint: 'AB' })],
    ['certificates of its own without one', authentication({ kind: 'selfSigned' })],
    ['a scope that is too long', { deviceScope: 'x'.repeat(513) }],
    ['a parent that cannot be kept', { parentScope: '\ud83d' }],
    ['a manager that is too long', { managedBy: 'x'.repeat(513) }],
  ])('%s is refused', (_name, changed) => {
    expect(() => checkIdentityContent(content(changed))).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^REGISTRY_(ID|ARGUMENT)_INVALID$/) }),
    )
  })

  test.each<[string, Partial<IdentityContent>]>([
    ['a device with nothing said', {}],
    [
      'the longest texts',
      { statusReason: 'x'.repeat(128), deviceScope: 'x'.repeat(512), parentScope: 'x'.repeat(512) },
    ],
    ['one key of two, and an empty one', authentication({ primaryKey: key(16), secondaryKey: '' })],
    ['one certificate of two', authentication({ kind: 'selfSigned', secondaryThumbprint: 'AB'.repeat(20) })],
    ['an authority', authentication({ kind: 'certificateAuthority' })],
  ])('%s is taken', (_name, changed) => {
    expect(() => checkIdentityContent(content(changed))).not.toThrow()
  })
})

describe('what the registry makes', () => {
  test('keys are those given, else those before, else new ones; certificates need none', () => {
    const [given, before] = [key(20), { ...generatedKeys, primaryKey: key(21), secondaryKey: key(22) }]
    expect(completedAuthentication({ ...generatedKeys, primaryKey: given }, before)).toEqual({
      ...generatedKeys,
      primaryKey: given,
      secondaryKey: key(22),
    })
    const made = completedAuthentication(generatedKeys, undefined)
    expect([isKey(made.primaryKey ?? ''), isKey(made.secondaryKey ?? '')]).toEqual([true, true])
    expect(made.primaryKey).not.toBe(made.secondaryKey)
    const thumbprint = 'AB'.repeat(20)
    // What belongs to the other kind is left out.
    expect(
      completedAuthentication(
        { ...generatedKeys, kind: 'selfSigned', primaryKey: given, primaryThumbprint: thumbprint },
        before,
      ),
    ).toEqual({ ...generatedKeys, kind: 'selfSigned', primaryThumbprint: thumbprint })
    expect(completedAuthentication({ ...generatedKeys, primaryThumbprint: thumbprint }, before).primaryThumbprint).toBe(
      undefined,
    )
  })

  test('generations of one id sort by time, and etags differ', () => {
    expect(newGenerationId(1_700_000_000_000)).toMatch(/^1700000000000\d{6}$/)
    expect(newGenerationId(1_700_000_000_001) > newGenerationId(1_700_000_000_000)).toBe(true)
    expect(newEtag()).not.toBe(newEtag())
    expect(Buffer.from(newEtag(), 'base64').toString()).toMatch(/^\d+$/)
  })
})
