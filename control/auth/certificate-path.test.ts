import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { CertificateAuthority } from '#control/trust/trust.ts'
import { type CertificateRequest, type IssuedCertificate, makeCertificate } from '#runtime/certificate-maker.ts'
import { isPathAllowed } from './certificate-path.ts'
import { issuingAuthority } from './certificates.ts'

const nowMs = Date.now()
const times = { notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + 3_600_000 }
const authorityOf = (commonName: string, issuer?: IssuedCertificate, more: Partial<CertificateRequest> = {}) =>
  makeCertificate({ commonName, authority: true, ...(issuer ? { issuer } : {}), ...times, ...more })
const deviceOf = (issuer: IssuedCertificate, commonName = 'device-1', more: Partial<CertificateRequest> = {}) =>
  makeCertificate({ commonName, issuer, use: 'client', ...times, ...more })
const read = ({ certificatePem }: IssuedCertificate) => new X509Certificate(certificatePem)

/** Whether the chain is let in where its last authority is registered. */
function leads(...chain: readonly IssuedCertificate[]): boolean {
  const anchor = chain.at(-1)?.certificatePem ?? ''
  const registered: CertificateAuthority = {
    name: 'ca',
    certificate: anchor,
    verified: true,
    verificationCode: undefined,
  }
  return issuingAuthority(chain.slice(0, -1).map(read), [registered], nowMs) !== undefined
}

describe('what an authority says about those below it', () => {
  test.each([
    [0, 0, true],
    [0, 1, false],
    [1, 1, true],
    [1, 2, false],
    [2, 2, true],
    [undefined, 3, true],
  ])('a path length of %s lets %i authorities follow: %s', (pathLength, between, allowed) => {
    const root = authorityOf('root', undefined, pathLength === undefined ? {} : { pathLength })
    const chain = [root]
    for (let i = 0; i < between; i++) chain.unshift(authorityOf(`middle-${i}`, chain[0]))
    expect(leads(deviceOf(chain[0] as IssuedCertificate), ...chain)).toBe(allowed)
  })

  test('each authority of the path has its say; one that was renewed by itself does not count', () => {
    const root = authorityOf('root', undefined, { pathLength: 5 })
    const strict = authorityOf('strict', root, { pathLength: 0 })
    const below = authorityOf('below', strict)
    expect(leads(deviceOf(strict), strict, root)).toBe(true)
    expect(leads(deviceOf(below), below, strict, root)).toBe(false)
    const old = authorityOf('root', undefined, { pathLength: 0 })
    const renewed = authorityOf('root', old)
    expect(leads(deviceOf(renewed), renewed, old)).toBe(true)
    const after = authorityOf('after', renewed)
    expect(leads(deviceOf(after), after, renewed, old)).toBe(false)
  })

  test.each([
    ['permitted', ['device-1'], 'device-1', true],
    ['permitted', ['device-2', 'device-1'], 'device-1', true],
    ['permitted', ['device-2'], 'device-1', false],
    ['permitted', ['DEVICE-1 '], 'device-1', true],
    ['excluded', ['device-1'], 'device-1', false],
    ['excluded', ['Device-1'], 'device-1', false],
    ['excluded', ['device-2'], 'device-1', true],
  ] as const)('%s names %j: %s is let in: %s', (list, commonNames, commonName, allowed) => {
    const root = authorityOf('root', undefined, { [list]: { commonNames } })
    expect(leads(deviceOf(root, commonName), root)).toBe(allowed)
    // Behind an authority of a name that is allowed, and of its own constraints none.
    const middle = authorityOf(list === 'permitted' ? commonNames[0] : 'middle', root)
    expect(leads(deviceOf(middle, commonName), middle, root)).toBe(allowed)
  })

  test.each([
    ['permitted', ['plant.example'], ['a.plant.example', 'PLANT.example'], true],
    ['permitted', ['plant.example'], ['a.plant.example', 'b.example'], false],
    ['permitted', ['plant.example'], ['notplant.example'], false],
    ['permitted', ['plant.example'], ['plant.example.evil'], false],
    ['permitted', ['.plant.example'], ['a.plant.example'], true],
    ['permitted', ['plant.example'], [], true],
    ['permitted', ['plant.example'], ['10.0.0.1'], true],
    ['excluded', ['plant.example'], ['a.plant.example'], false],
    ['excluded', ['plant.example'], ['b.example'], true],
    ['excluded', [''], ['b.example'], false],
  ] as const)('%s hosts %j: a certificate for %j is let in: %s', (list, hosts, own, allowed) => {
    const root = authorityOf('root', undefined, { [list]: { hosts } })
    expect(leads(deviceOf(root, 'device-1', { hosts: own }), root)).toBe(allowed)
  })

  test('an authority that constrains the one below it constrains its devices too', () => {
    const root = authorityOf('root', undefined, { excluded: { commonNames: ['device-2'] } })
    const middle = authorityOf('middle', root, { permitted: { commonNames: ['device-1', 'device-2'] } })
    expect(['device-1', 'device-2', 'device-3'].map((name) => leads(deviceOf(middle, name), middle, root))).toEqual([
      true,
      false,
      false,
    ])
  })

  /** The same certificate with some bytes replaced; its signature is good for nothing. */
  function altered(made: IssuedCertificate, from: string, to: string): X509Certificate {
    const hex = read(made).raw.toString('hex')
    expect(hex).toContain(from)
    return new X509Certificate(Buffer.from(hex.replace(from, to), 'hex'))
  }

  test('what is critical and not understood is refused, as is what cannot be read', () => {
    const root = authorityOf('root', undefined, { permitted: { commonNames: ['device-1'] } })
    const device = read(deviceOf(root))
    expect(isPathAllowed([device, read(root)])).toBe(true)
    // Name constraints become policy constraints, constraints of mail addresses, and no list at all.
    expect(isPathAllowed([device, altered(root, '0603551d1e', '0603551d24')])).toBe(false)
    const mail = authorityOf('root', undefined, { permitted: { hosts: ['x.example'] } })
    const withMail = altered(deviceOf(mail, 'device-1', { hosts: ['x.example'] }), '8209782e', '8109782e')
    expect(isPathAllowed([withMail, altered(mail, '8209782e', '8109782e')])).toBe(false)
    expect(isPathAllowed([withMail, read(mail)])).toBe(true)
    const [start = ''] = /0603551d1e0101ff04..30/.exec(read(root).raw.toString('hex')) ?? []
    expect(isPathAllowed([device, altered(root, start, start.replace(/30$/, '31'))])).toBe(false)
  })
})
