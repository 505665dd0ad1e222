import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { generatedKeys } from '#control/identities/identity.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { certificateFrom } from '#runtime/certificates.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { Parameters } from '../query/fields.ts'
import { parseQuery } from '../query/parse-query.ts'
import { conditionSql } from '../query/query-sql.ts'
import { admit } from './admission.ts'
import { isPathAllowed } from './certificate-path.ts'
import { claimOf } from './connect-attempt.ts'
import { parseConnectionString } from './connection-string.ts'
import { createSasToken, parseSasToken } from './sas-token.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const rounds = 20_000

const key = Buffer.alloc(32, 1).toString('base64')
const token = createSasToken({ scope: 'hub.example/devices/d', key, expiresAtMs: 4e12, policyName: undefined })
const pieces = [
  'SharedAccessSignature ',
  'sr=',
  '&sig=',
  '&se=',
  '&skn=',
  '%2F',
  '%',
  '=',
  '&',
  '/',
  'hub.example',
  'd',
  '\0',
  'é',
  '\ud800',
  '?api-version=',
  "'",
  '"',
  '(',
  ')',
  '[',
  ']',
  'SELECT ',
  '* ',
  'FROM ',
  'devices ',
  'WHERE ',
  'deviceId ',
  '= ',
  'AND ',
  'OR ',
  'NOT ',
  'IN ',
  '1',
  ',',
  'STARTSWITH',
  'tags.x ',
  'TOP ',
  '\\',
  '$1',
  '--',
  ';',
] as const

describe(`what the network sends as credentials or queries, seed ${seed}`, () => {
  const random = seededRandom(seed).below

  const piece = () => pieces[random(pieces.length)] ?? ''
  const joined = () => Array.from({ length: random(12) }, piece).join('')

  function mutated(text: string): string {
    const at = random(text.length + 1)
    switch (random(4)) {
      case 0:
        return text.slice(0, at) + text.slice(at + 1 + random(8))
      case 1:
        return text.slice(0, at) + piece() + text.slice(at)
      case 2:
        return text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1)
      default:
        return text.slice(at) + text.slice(0, at)
    }
  }

  test('no token but the one that was signed is ever admitted, and none makes a fault', () => {
    const device = {
      deviceId: 'd',
      generationId: 'g',
      status: 'enabled',
      authentication: { ...generatedKeys, primaryKey: key, secondaryKey: key },
      modules: {},
    } as const
    const rules = { hubNames: ['hub.example'], clockSkewMs: 0 }
    const good = parseSasToken(token)
    for (let round = 0; round < rounds; round++) {
      const text = random(3) === 0 ? joined() : mutated(mutated(token))
      const username = random(2) === 0 ? 'hub.example/d/?api-version=1' : mutated('hub.example/d/?api-version=1')
      const claim = claimOf(
        { clientId: 'd', username, password: Buffer.from(text), certificates: [], confidential: true },
        rules.hubNames,
      )
      if (claim.refused) continue
      const admission = admit(
        claim,
        claim.id.deviceId === 'd' ? device : undefined,
        { policies: [], authorities: [] },
        rules,
        1,
      )
      if (!admission.admitted) continue
      const parsed = parseSasToken(text)
      // Unsigned fields may differ; what was signed may not.
      expect([parsed?.scopeText, parsed?.expiryText, parsed?.signature]).toEqual([
        good?.scopeText,
        good?.expiryText,
        good?.signature,
      ])
    }
  })

  test('queries are read or refused as such, and give SQL without their texts', () => {
    const query = `SELECT TOP 3 deviceId, COUNT() AS n FROM devices WHERE (status = 'marker1' OR NOT deviceId IN ['marker2', "x"]) AND STARTSWITH(deviceId, 'marker3') GROUP BY deviceId`
    for (let round = 0; round < rounds; round++) {
      const text = random(3) === 0 ? joined() : mutated(random(2) === 0 ? query : mutated(query))
      try {
        const { where } = parseQuery(text)
        if (where) expect(conditionSql(where, new Parameters('devices'))).not.toMatch(/marker|--|;/)
      } catch (error) {
        if (!isPenstockError(error, 'REGISTRY_QUERY_INVALID')) throw error
      }
    }
  })

  test('connection strings and certificates are read or refused as such', () => {
    const text = `HostName=h;DeviceId=d;SharedAccessKey=${key}`
    for (let round = 0; round < rounds; round++) {
      try {
        parseConnectionString(random(3) === 0 ? joined() : mutated(mutated(text)))
      } catch (error) {
        if (!isPenstockError(error, 'AUTH_CREDENTIALS_MALFORMED')) throw error
      }
    }
    for (let round = 0; round < 500; round++) certificateFrom(`-----BEGIN CERTIFICATE-----\n${joined()}`)
  })

  test('certificates: whatever the authorities of a path hold is read or refused', () => {
    const times = { notBeforeMs: 0, notAfterMs: 4e12 }
    const names = { commonNames: ['d'], hosts: ['h.example'] }
    const root = makeCertificate({
      commonName: 'r',
      authority: true,
      pathLength: 1,
      permitted: names,
      excluded: names,
      ...times,
    })
    const leaf = makeCertificate({ commonName: 'd', issuer: root, hosts: ['h.example'], ...times })
    const whole = [leaf, root].map(({ certificatePem }) => new X509Certificate(certificatePem).raw)
    const outcomes = new Set<boolean>()
    for (let round = 0; round < rounds / 10; round++) {
      const path = whole.flatMap((raw) => {
        const bytes = Buffer.from(raw)
        for (let change = random(3); change > 0; change--) bytes[random(bytes.length)] = random(256)
        const certificate = certificateFrom(bytes.toString('base64'))
        return certificate === undefined ? [] : [certificate]
      })
      outcomes.add(isPathAllowed(path))
    }
    expect(outcomes.size).toBe(2)
  })
})
