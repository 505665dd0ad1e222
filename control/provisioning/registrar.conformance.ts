import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSasToken, parseSasToken, signingKeyOf } from '#control/auth/sas-token.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import { openRegistry, type Registry } from '#control/open-registry.ts'
import { type IssuedCertificate, makeCertificate } from '#runtime/certificate-maker.ts'
import { silentLogger } from '#runtime/logger.ts'
import { derivedKey } from './derived-key.ts'
import type { EnrolmentKind } from './enrolment.ts'
import { enrolmentFrom } from './enrolment-document.ts'
import type { ProvisioningRequest, ProvisioningStep } from './provisioning.ts'
import { SoftwareTpm } from './software-tpm-fixture.ts'
import { usualRegistrarRules } from './sql-registrar.ts'

const { idScope, hubName } = usualRegistrarRules
const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
const keyOf = (seed: number): string => Buffer.alloc(32, seed).toString('base64')
const keys = (seed: number) => ({
  type: 'symmetricKey',
  symmetricKey: { primaryKey: keyOf(seed), secondaryKey: keyOf(seed + 100) },
})

interface Answer {
  readonly status: number
  readonly body: {
    readonly operationId?: string
    readonly status?: string
    readonly errorCode?: number
    readonly message?: string
    readonly registrationState?: Record<string, unknown>
  }
  readonly text: string
}

type Proof = Partial<Pick<ProvisioningRequest, 'token' | 'certificates'>>

export function tokenOf(
  registrationId: string,
  key: string,
  scope = `${idScope}/registrations/${registrationId}`,
): Proof {
  return { token: createSasToken({ scope, key, policyName: 'registration', expiresAtMs: Date.now() + 60_000 }) }
}

function certificateProof(...chain: IssuedCertificate[]): Proof {
  return { certificates: chain.map(({ certificatePem }) => new X509Certificate(certificatePem).raw.toString('base64')) }
}

/** What devices that register get, whatever it is kept in. @param postgresUrl `undefined`: embedded */
export function registrarConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`registrations on ${name}`, () => {
    let registry: Registry

    beforeAll(async () => {
      registry = await openRegistry({
        postgresUrl: postgresUrl(),
        dataDir: undefined,
        connectionsMax: 4,
        logger: silentLogger,
      })
    })

    afterAll(() => registry.close())

    function enrol(kind: EnrolmentKind, id: string, document: object): Promise<unknown> {
      return registry.enrolments.put(kind, id, undefined, (before) => enrolmentFrom(kind, document, id, before))
    }

    async function ask(
      step: ProvisioningStep,
      registrationId: string,
      proof: Proof,
      more: Partial<ProvisioningRequest> = {},
    ): Promise<Answer> {
      const nothing = { token: undefined, certificates: [], operationId: undefined, payload: undefined }
      const { status, body } = await registry.registrar.provision({
        step,
        registrationId,
        ...nothing,
        ...proof,
        ...more,
      })
      return { status, body: JSON.parse(body), text: body }
    }

    /** Registers, and asks what became of it. */
    async function register(registrationId: string, proof: Proof): Promise<Answer> {
      const begun = await ask('register', registrationId, proof)
      if (begun.status !== 202) return begun
      expect(begun.body).toMatchObject({ status: 'assigning' })
      return ask('status', registrationId, proof, { operationId: begun.body.operationId })
    }

    const identity = (deviceId: string) => registry.identities.get({ deviceId, moduleId: undefined })

    test('a device with an enrolment of its own gets the hub, an identity with the same keys, and its first twin', async () => {
      const initialTwin = { tags: { hall: 'a', none: null }, properties: { desired: { speed: 3 } } }
      await enrol('individual', 'own', {
        attestation: keys(1),
        deviceId: 'own-device',
        initialTwin,
        capabilities: { iotEdge: true },
      })
      const proof = tokenOf('own', keyOf(101))
      expect((await ask('connect', 'own', proof)).status).toBe(200)
      const { body } = await register('own', proof)
      expect(body).toMatchObject({
        status: 'assigned',
        registrationState: {
          registrationId: 'own',
          assignedHub: hubName,
          deviceId: 'own-device',
          status: 'assigned',
          substatus: 'initialAssignment',
          symmetricKey: {},
        },
      })
      expect(await identity('own-device')).toMatchObject({
        iotEdge: true,
        authentication: { kind: 'sas', primaryKey: keyOf(1), secondaryKey: keyOf(101) },
      })
      const { twin } = await registry.twins.get({ deviceId: 'own-device', moduleId: undefined })
      expect(twin).toMatchObject({
        version: 3,
        etag: 2,
        tags: { hall: 'a' },
        desired: { value: { speed: 3 }, version: 2 },
      })
      expect(twin.desired.marks).toHaveProperty('speed')
      expect((await ask('lookup', 'own', proof)).body).toMatchObject({ assignedHub: hubName })
    })

    test('devices of a group have derived keys, of any spelling of their id', async () => {
      await enrol('group', 'line', { attestation: keys(2) })
      const { body } = await register('Lathe-1', tokenOf('Lathe-1', derivedKey(keyOf(2), 'Lathe-1')))
      expect(body.registrationState).toMatchObject({ deviceId: 'Lathe-1', symmetricKey: { enrollmentGroupId: 'line' } })
      expect((await identity('Lathe-1'))?.authentication).toMatchObject({
        primaryKey: derivedKey(keyOf(2), 'Lathe-1'),
        secondaryKey: derivedKey(keyOf(102), 'Lathe-1'),
      })
      const lower = await register('LATHE-1', tokenOf('LATHE-1', derivedKey(keyOf(102), 'lathe-1')))
      expect(lower.body.registrationState).toMatchObject({ registrationId: 'Lathe-1', deviceId: 'Lathe-1' })
      expect(await registry.registrations.ofGroup('LINE', '', 10)).toHaveLength(1)
    })

    test('unknown, wrong and malformed have one answer', async () => {
      await enrol('individual', 'known', { attestation: keys(3) })
      const answers = [
        await ask('register', 'known', tokenOf('known', keyOf(99))),
        await ask('register', 'unknown', tokenOf('unknown', keyOf(99))),
        await ask('connect', 'unknown', tokenOf('unknown', keyOf(99))),
      ]
      for (const { status, body } of answers) {
        expect([status, body.errorCode, body.message]).toEqual([401, 401_002, 'not authorized'])
      }
      expect((await ask('register', 'known', {})).status).toBe(401)
      expect((await ask('register', 'known', { token: 'SharedAccessSignature sr=x' })).status).toBe(401)
      expect((await ask('register', "no'id", tokenOf("no'id", keyOf(3)))).status).toBe(401)
    })

    test('a token for another scope, another device or of the past proves nothing', async () => {
      await enrol('individual', 'scoped', { attestation: keys(4) })
      const key = keyOf(4)
      expect((await ask('connect', 'scoped', tokenOf('scoped', key, `0ne999/registrations/scoped`))).status).toBe(401)
      expect((await ask('connect', 'scoped', tokenOf('scoped', key, `${idScope}/registrations/other`))).status).toBe(
        401,
      )
      const scope = `${idScope}/registrations/scoped`
      const past = { token: createSasToken({ scope, key, expiresAtMs: Date.now() - 600_000 }) }
      expect((await ask('connect', 'scoped', past)).status).toBe(401)
      const policy = { token: createSasToken({ scope, key, policyName: 'p', expiresAtMs: Date.now() + 60_000 }) }
      expect((await ask('connect', 'scoped', policy)).status).toBe(401)
    })

    test('an enrolment of its own goes before the groups, and who is disenrolled is cut off at once', async () => {
      await enrol('group', 'wide', { attestation: keys(5) })
      const grouped = tokenOf('both', derivedKey(keyOf(5), 'both'))
      expect((await register('both', grouped)).body.status).toBe('assigned')
      await enrol('individual', 'both', { attestation: keys(6) })
      expect((await ask('register', 'both', grouped)).status).toBe(401)
      const own = tokenOf('both', keyOf(6))
      const begun = await ask('register', 'both', own)
      expect(begun.status).toBe(202)
      await enrol('individual', 'both', { attestation: keys(6), provisioningStatus: 'disabled' })
      const refused = await ask('status', 'both', own, { operationId: begun.body.operationId })
      expect([refused.status, refused.body.message]).toEqual([401, 'the device is disabled'])
      await registry.enrolments.delete('individual', 'both', undefined)
      await registry.enrolments.delete('group', 'wide', undefined)
      for (const proof of [own, grouped]) expect((await ask('connect', 'both', proof)).status).toBe(401)
    })

    test('a certificate is known by itself, or by who signed it; an authority counts once its owner has proven to hold it', async () => {
      const authority = makeCertificate({ commonName: 'root', authority: true, ...times })
      const between = makeCertificate({ commonName: 'between', authority: true, issuer: authority, ...times })
      const leafOf = (commonName: string, issuer?: IssuedCertificate) =>
        makeCertificate({ commonName, ...(issuer && { issuer }), ...times })
      const leaf = leafOf('leaf')
      const pair = (certificate: IssuedCertificate) => ({ primary: { certificate: certificate.certificatePem } })
      await enrol('individual', 'leaf', { attestation: { type: 'x509', x509: { clientCertificates: pair(leaf) } } })
      const { body } = await register('leaf', certificateProof(leaf))
      expect(body.registrationState).toMatchObject({ x509: { certificateInfo: { subjectName: 'CN=leaf' } } })
      expect((await identity('leaf'))?.authentication).toMatchObject({
        kind: 'selfSigned',
        primaryThumbprint: new X509Certificate(leaf.certificatePem).fingerprint256.replaceAll(':', ''),
      })
      expect((await ask('connect', 'leaf', certificateProof(leafOf('leaf')))).status).toBe(401)
      expect((await ask('connect', 'other', certificateProof(leaf))).status).toBe(401)

      await enrol('group', 'signed', { attestation: { type: 'x509', x509: { signingCertificates: pair(between) } } })
      const below = leafOf('below', between)
      const signed = await register('below', certificateProof(below, between))
      expect(signed.body.registrationState).toMatchObject({
        x509: { enrollmentGroupId: 'signed', signingCertificateInfo: { subjectName: 'CN=between' } },
      })
      expect((await ask('connect', 'beside', certificateProof(leafOf('beside', authority)))).status).toBe(401)

      await enrol('group', 'named', { attestation: { type: 'x509', x509: { caReferences: { primary: 'works' } } } })
      const proof = certificateProof(leafOf('beside', authority))
      const kept = { name: 'works', certificate: authority.certificatePem, verificationCode: undefined }
      await registry.trust.putAuthority({ ...kept, verified: false })
      expect((await ask('connect', 'beside', proof)).status).toBe(401)
      await registry.trust.putAuthority({ ...kept, verified: true })
      await expect.poll(async () => (await ask('connect', 'beside', proof)).status).toBe(200)
    })

    test('a TPM is given a key that it alone can open, and registers with that; others get none', async () => {
      const [tpm, other] = [new SoftwareTpm(), new SoftwareTpm()]
      const { endorsementKey, storageRootKey } = tpm
      await enrol('individual', 'chip', { attestation: { type: 'tpm', tpm: { endorsementKey } } })
      const challenge = await ask('register', 'chip', {}, { tpm: { endorsementKey, storageRootKey } })
      expect([challenge.status, challenge.body]).toMatchObject([401, { keyName: 'registration' }])
      const { authenticationKey } = challenge.body as { authenticationKey: string }
      expect(() => other.activate(authenticationKey)).toThrow()
      tpm.activate(authenticationKey)
      const proof = { token: tpm.tokenOf(`${idScope}/registrations/chip`) }
      expect((await register('chip', proof)).body.registrationState).toMatchObject({ assignedHub: hubName, tpm: {} })
      const begun = await ask('register', 'chip', proof, { tpm: { endorsementKey, storageRootKey } })
      const again = await ask('status', 'chip', proof, { operationId: begun.body.operationId })
      const told = again.body.registrationState as { tpm: { authenticationKey: string } }
      tpm.activate(told.tpm.authenticationKey)
      // With the same key it connects to its hub.
      const hubToken = parseSasToken(tpm.tokenOf(`${hubName}/devices/chip`))
      const { primaryKey } = (await identity('chip'))?.authentication ?? {}
      expect(hubToken && signingKeyOf(hubToken, [primaryKey])).toBe(primaryKey)
      const foreign = await ask(
        'register',
        'chip',
        {},
        { tpm: { endorsementKey: other.endorsementKey, storageRootKey } },
      )
      expect([foreign.status, foreign.body.message]).toEqual([401, 'credentials are missing'])
      expect(foreign.body).not.toHaveProperty('authenticationKey')
      const { attestation } = (await registry.enrolments.get('individual', 'chip')) ?? {}
      await enrol('individual', 'chip', { attestation: { type: 'tpm', tpm: { endorsementKey, secret: keyOf(1) } } })
      expect((await registry.enrolments.get('individual', 'chip'))?.attestation).toEqual(attestation)
      expect((await ask('connect', 'chip', proof)).status).toBe(200)
    })

    test('no enrolment takes over what others made', async () => {
      const content = { status: 'enabled', statusReason: undefined, iotEdge: false } as const
      const scopes = { deviceScope: undefined, parentScope: undefined, managedBy: undefined }
      const made = { deviceId: 'by-hand', moduleId: undefined, authentication: generatedKeys, ...content, ...scopes }
      const { authentication } = await registry.identities.create(made)
      await enrol('group', 'first', { attestation: keys(7) })
      await enrol('group', 'second', { attestation: keys(8) })
      const refused = await register('by-hand', tokenOf('by-hand', derivedKey(keyOf(7), 'by-hand')))
      expect([refused.status, refused.body.errorCode]).toEqual([409, 409_202])
      expect((await identity('by-hand'))?.authentication).toEqual(authentication)

      const first = tokenOf('moves', derivedKey(keyOf(7), 'moves'))
      const second = tokenOf('moves', derivedKey(keyOf(8), 'moves'))
      expect((await register('moves', first)).body.status).toBe('assigned')
      expect((await register('moves', second)).status).toBe(409)
      expect((await ask('lookup', 'moves', first)).body).toMatchObject({ symmetricKey: { enrollmentGroupId: 'first' } })
      await registry.enrolments.delete('group', 'first', undefined)
      expect((await register('moves', second)).body.status).toBe('assigned')
      expect((await identity('moves'))?.authentication.primaryKey).toBe(derivedKey(keyOf(8), 'moves'))
    })

    test('keys of a group that are renewed reach the hub with the next registration; a disabled device stays disabled', async () => {
      await enrol('group', 'renewed', { attestation: keys(9) })
      const before = tokenOf('renews', derivedKey(keyOf(9), 'renews'))
      await register('renews', before)
      const { etag = '', ...identityBefore } = (await identity('renews')) ?? {}
      await registry.identities.replace({ ...identityBefore, status: 'disabled' } as never, etag)
      const renewed = { primaryKey: keyOf(10), secondaryKey: keyOf(9) }
      await enrol('group', 'renewed', { attestation: { type: 'symmetricKey', symmetricKey: renewed } })
      expect((await register('renews', before)).body.status).toBe('assigned')
      expect(await identity('renews')).toMatchObject({
        status: 'disabled',
        authentication: { primaryKey: derivedKey(keyOf(10), 'renews'), secondaryKey: derivedKey(keyOf(9), 'renews') },
      })
    })

    test('many that register at once get one identity each; who asks twice at once has one registration', async () => {
      await enrol('group', 'many', { attestation: keys(11) })
      const ids = Array.from({ length: 300 }, (_, index) => `many-${index}`)
      const answers = await Promise.all(
        [...ids, 'many-0', 'MANY-1'].map((id) => ask('register', id, tokenOf(id, derivedKey(keyOf(11), id)))),
      )
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
      expect(await registry.registrations.ofGroup('many', '', 1_000)).toHaveLength(300)
      expect(await identity('many-299')).toBeDefined()
    })

    test('no device comes to life after its enrolment was deleted, however close the two are', async () => {
      for (let turns = 0; turns < 12; turns++) {
        const id = `withdrawn-${turns}`
        await enrol('individual', id, { attestation: keys(13) })
        const asked = ask('register', id, tokenOf(id, keyOf(13)))
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
        await registry.enrolments.delete('individual', id, undefined)
        const wasThere = (await identity(id)) !== undefined
        const { status } = await asked
        const isThere = (await identity(id)) !== undefined
        expect([isThere, status]).toEqual([wasThere, wasThere ? 202 : 401])
        expect((await registry.registrations.get(id)) !== undefined).toBe(wasThere)
      }
    })

    test('an operation is its own device’s; a deregistered device is unknown until it registers again', async () => {
      await enrol('individual', 'asks', { attestation: keys(12) })
      const proof = tokenOf('asks', keyOf(12))
      const { body } = await ask('register', 'asks', proof)
      expect((await ask('status', 'asks', proof, { operationId: '5.0.x' })).status).toBe(404)
      await registry.registrations.delete('asks', undefined)
      expect((await ask('status', 'asks', proof, { operationId: body.operationId })).status).toBe(404)
      expect((await ask('lookup', 'asks', proof)).status).toBe(404)
      expect((await register('asks', proof)).body.status).toBe('assigned')
    })
  })
}
