import { describe, expect, test } from 'vitest'
import { createSasToken, expiresAtMsOf, parseSasToken, type SasToken, scopeCovers, signingKeyOf } from './sas-token.ts'

// Signatures computed apart, with Python's hmac and hashlib.
const key1 = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='
const key2 = 'ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8='
const expiry = '1900000000'
const vectors = [
  { sr: 'hub.example%2Fdevices%2Fd1', sig: 'cw5YDgHZ%2FUJfF9N82lUQbVx3A9XiPhtA3AipAdoWnds%3D', key: key1 },
  { sr: 'hub.example/devices/d1', sig: 't4KdEgl2GbMsRnG9tIPNj5Tw%2BRMFQaOKWh3f44Cmke4%3D', key: key1 },
  { sr: 'hub.example/devices/d1', sig: 't4KdEgl2GbMsRnG9tIPNj5Tw+RMFQaOKWh3f44Cmke4=', key: key1 },
  {
    sr: 'HUB.Example%2fDevices%2fd1%2fmodules%2fm1',
    sig: 'kjh%2Bd04xaAKjL%2FZ%2Fx6r0qReW%2Bf%2BB5N4fFx13dzmgviw%3D',
    key: key2,
  },
  { sr: 'hub.example', sig: 'SG532auGPz1Le3tAbPqCS2s2uEg1v778U1iWjKYvyqg%3D', key: key2 },
]

function parsed(text: string): SasToken {
  const token = parseSasToken(text)
  if (!token) throw new Error(`not a token: ${text}`)
  return token
}

describe('SAS tokens', () => {
  test.each(vectors)('the signature over $sr as it stands is verified with either key', ({ sr, sig, key }) => {
    const token = parsed(`SharedAccessSignature sr=${sr}&sig=${sig}&se=${expiry}`)
    expect(signingKeyOf(token, [key, undefined])).toBe(key)
    expect(signingKeyOf(token, [undefined, key])).toBe(key)
    expect(signingKeyOf(token, [key1, key2])).toBe(key)
    expect(signingKeyOf(token, [key === key1 ? key2 : key1])).toBe(undefined)
    expect(signingKeyOf(token, [])).toBe(undefined)
    expect(signingKeyOf(token, ['', undefined])).toBe(undefined)
  })

  test('fields may come in any order, with an empty or reserved policy name meaning the device', () => {
    const [{ sr, sig }] = vectors as [(typeof vectors)[number]]
    for (const text of [
      `sr=${sr}&sig=${sig}&skn=&se=${expiry}`,
      `sig=${sig}&se=${expiry}&sr=${sr}`,
      `se=${expiry}&skn=registration&sr=${sr}&sig=${sig}`,
      `sr=${sr}&sig=${sig}&se=${expiry}&later=unknown`,
      `sr=${sr}&sig=${sig}&se=${expiry}&x=`,
    ]) {
      const token = parsed(`SharedAccessSignature ${text}`)
      expect(token.policyName).toBe(undefined)
      expect(signingKeyOf(token, [key1])).toBe(key1)
    }
    const policy = parsed(`SharedAccessSignature sr=${sr}&sig=${sig}&se=${expiry}&skn=a%20b`)
    expect(policy.policyName).toBe('a b')
  })

  test('a change of any signed character makes the signature wrong', () => {
    const [{ sr, sig }] = vectors as [(typeof vectors)[number]]
    for (const [otherSr, otherSe] of [
      [sr.replace('%2F', '%2f'), expiry],
      [`${sr}2`, expiry],
      [sr, '1900000001'],
      [sr, `0${expiry}`],
    ]) {
      const token = parsed(`SharedAccessSignature sr=${otherSr}&sig=${sig}&se=${otherSe}`)
      expect(signingKeyOf(token, [key1, key2])).toBe(undefined)
    }
  })

  test('what is not well-formed is no token', () => {
    const sig = 'A'.repeat(43)
    for (const text of [
      '',
      'SharedAccessSignature',
      'SharedAccessSignature ',
      `Bearer sr=h&sig=${sig}=&se=1`,
      `SharedAccessSignature sr=h&sig=${sig}=`,
      `SharedAccessSignature sig=${sig}=&se=1`,
      `SharedAccessSignature sr=&sig=${sig}=&se=1`,
      `SharedAccessSignature sr=h&se=1`,
      `SharedAccessSignature sr=h&sig=${sig}&se=1`,
      `SharedAccessSignature sr=h&sig=%zz&se=1`,
      `SharedAccessSignature sr=h&sig=${sig}=&se=-1`,
      `SharedAccessSignature sr=h&sig=${sig}=&se=1e9`,
      `SharedAccessSignature sr=h&sig=${sig}=&se=1234567890123456`,
      `SharedAccessSignature sr=h&sr=i&sig=${sig}=&se=1`,
      `SharedAccessSignature sr=h&sig=${sig}=&se=1&skn=%ff`,
      `SharedAccessSignature sr=h&&sig=${sig}=&se=1`,
      `SharedAccessSignature sr=h&=1&sig=${sig}=&se=1`,
      `SharedAccessSignature sr=h&x&sig=${sig}=&se=1`,
      `SharedAccessSignature sr=${'h'.repeat(5_000)}&sig=${sig}=&se=1`,
    ]) {
      expect(parseSasToken(text), text).toBe(undefined)
    }
  })

  test('a scope covers what lies below it, by segment, and nothing beside it', () => {
    const covers = (scope: string, resource: string[], policyName?: string) => {
      const token = parsed(createSasToken({ scope, key: key1, expiresAtMs: 1, policyName }))
      return scopeCovers(token, ['hub.example', 'localhost'], resource)
    }
    const device = ['devices', 'a']
    const module = ['devices', 'a', 'modules', 'm']
    for (const scope of [
      'hub.example',
      'HUB.example/',
      'hub.example/devices/a',
      'localhost:8883/Devices/a',
      'https://hub.example/devices',
    ]) {
      expect(covers(scope, device), scope).toBe(true)
      expect(covers(scope, module), scope).toBe(true)
    }
    expect(covers('hub.example/devices/a/modules/m', module)).toBe(true)
    for (const scope of [
      'hub.example/devices/ab',
      'hub.example/devices/a/modules/m',
      'hub.example/devices//a',
      'hub.example/twins/a',
      'other.example',
      'hub.example.evil',
      'hub.example@evil',
      'evil/hub.example/devices/a',
      '',
      '/devices/a',
    ]) {
      if (scope !== '') expect(covers(scope, device), scope).toBe(false)
    }
    for (const scope of ['hub.example/devices/A', 'HUB.example/DEVICES/A/Modules/M', 'hub.example/devices/%41']) {
      expect(covers(scope, module), `${scope} by the device's own key`).toBe(true)
      expect(covers(scope, module, 'device'), `${scope} by a policy's key`).toBe(false)
    }
    expect(covers('hub.example/Devices/a', device, 'device')).toBe(true)
    for (const [scope, id, byPolicy] of [
      ['hub.example/devices/a%41', 'a%41', true],
      ['hub.example/devices/a%41', 'aA', false],
      ['hub.example/devices/100%25', '100%25', true],
      ['hub.example/devices/100%25', '100%', false],
      ['hub.example/devices/a%2562', 'a%62', false],
    ] as const) {
      expect(covers(scope, ['devices', id], 'device'), `${scope} for ${id} by a policy's key`).toBe(byPolicy)
      expect(covers(scope, ['devices', id]), `${scope} for ${id} by its own`).toBe(true)
      const module = ['devices', 'd', 'modules', id]
      const moduleScope = scope.replace('devices/', 'devices/d/modules/')
      expect(covers(moduleScope, module, 'device'), `${moduleScope} for ${id} by a policy's key`).toBe(byPolicy)
    }
    const quota = ['api', 'quotas', 'a']
    expect(covers('hub.example/api/quotas/a', quota, 'service')).toBe(true)
    for (const id of ['A', '%61']) expect(covers(`hub.example/api/quotas/${id}`, quota, 'service'), id).toBe(false)
    expect(covers('hub.example/devices/a/MODULES/m', module, 'device')).toBe(true)
    expect(covers('hub.example/devices/a/modules/M', module, 'device')).toBe(false)
    expect(covers('hub.example/devices/a%3Ab', ['devices', 'a:b'])).toBe(true)
    expect(covers('hub.example/devices/a%2Fb', ['devices', 'a'])).toBe(false)
  })

  test('a made token is the one that the vectors give', () => {
    const expiresAtMs = Number(expiry) * 1_000
    expect(createSasToken({ scope: 'hub.example/devices/d1', key: key1, expiresAtMs: expiresAtMs + 999 })).toBe(
      `SharedAccessSignature sr=${vectors[0]?.sr}&sig=${vectors[0]?.sig}&se=${expiry}`,
    )
    const token = parsed(createSasToken({ scope: 'hub.example', key: key2, expiresAtMs, policyName: 'service' }))
    expect(token.policyName).toBe('service')
    expect(expiresAtMsOf(token, 300_000)).toBe(expiresAtMs + 300_000)
  })
})
