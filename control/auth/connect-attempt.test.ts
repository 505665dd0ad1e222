import { describe, expect, test } from 'vitest'
import type { ConnectAttempt } from './auth.ts'
import { claimOf } from './connect-attempt.ts'
import { createSasToken } from './sas-token.ts'

const token = createSasToken({ scope: 'hub.example/devices/d', key: 'AAAA', expiresAtMs: 1 })

function claim(changes: Partial<Omit<ConnectAttempt, 'password'>> & { password?: string }) {
  const { password = token, ...others } = changes
  return claimOf(
    {
      clientId: 'd',
      username: undefined,
      certificates: [],
      confidential: true,
      ...others,
      password: Buffer.from(password),
    },
    ['hub.example', 'localhost'],
  )
}

describe('what a CONNECT claims', () => {
  test.each([
    ['hub.example/d/?api-version=2021-04-12&DeviceClientType=x%2Fy', 'd', 'd', undefined],
    ['HUB.example/d/api-version=2016-11-14/DeviceClientType=c', 'd', 'd', undefined],
    ['hub.example/d/', 'd', 'd', undefined],
    ['localhost:18883/d/m/?api-version=1', 'd/m', 'd', 'm'],
    ['hub.example/d/m/?api-version=1&x=a/b', 'd/m', 'd', 'm'],
    ['hub.example/d', 'd', 'd', undefined],
    ['d', 'anything at all', 'd', undefined],
    ['d/m', '', 'd', 'm'],
    ['a:b@c', 'x', 'a:b@c', undefined],
    [undefined, 'd', 'd', undefined],
    ['', 'd/m', 'd', 'm'],
  ])('user name %s with client id %s is %s/%s', (username, clientId, deviceId, moduleId) => {
    expect(claim({ username, clientId })).toMatchObject({ id: { deviceId, moduleId }, evidence: { kind: 'token' } })
  })

  test.each([
    ['hub.example/d/?api-version=1', 'e', 'AUTH_CREDENTIALS_MALFORMED'],
    ['hub.example/d/?api-version=1', 'd/m', 'AUTH_CREDENTIALS_MALFORMED'],
    ['hub.example/d/?api-version=1', 'D', 'AUTH_CREDENTIALS_MALFORMED'],
    ['hub.example//?api-version=1', '', 'AUTH_CREDENTIALS_MALFORMED'],
    ['hub.example/d/m/x/?api-version=1', 'd/m/x', 'AUTH_CREDENTIALS_MALFORMED'],
    ['other.example/d/?api-version=1', 'd', 'AUTH_SCOPE_MISMATCH'],
    ['a b', 'd', 'AUTH_CREDENTIALS_MALFORMED'],
    ['x'.repeat(129), 'd', 'AUTH_CREDENTIALS_MALFORMED'],
    [undefined, '', 'AUTH_CREDENTIALS_MALFORMED'],
    ['a/b/c', 'd', 'AUTH_CREDENTIALS_MALFORMED'],
  ])('user name %s with client id %s is refused: %s', (username, clientId, code) => {
    expect(claim({ username, clientId }).refused?.code).toBe(code)
  })

  test('a password that is no token is a key; a broken token is refused; none needs a certificate', () => {
    expect(claim({ username: 'd', password: 'key' })).toMatchObject({ evidence: { kind: 'key', key: 'key' } })
    expect(claim({ username: 'd', password: 'SharedAccessSignature x' }).refused?.code).toBe(
      'AUTH_CREDENTIALS_MALFORMED',
    )
    expect(claim({ username: 'd', password: 'k'.repeat(5_000) }).refused?.code).toBe('AUTH_CREDENTIALS_MALFORMED')
    expect(claim({ username: 'd', password: '' }).refused?.code).toBe('AUTH_CREDENTIALS_MISSING')
  })

  test('no secret is taken in the clear from another machine', () => {
    for (const password of [token, 'key']) {
      expect(claim({ username: 'd', password, confidential: false }).refused?.code).toBe('AUTH_TRANSPORT_INSECURE')
    }
  })

  test('no reason repeats a password', () => {
    for (const password of ['SharedAccessSignature s3cret', 's3cret'.repeat(2_000)]) {
      expect(claim({ username: 'd', password }).refused?.reason).not.toContain('s3cret')
    }
  })
})
