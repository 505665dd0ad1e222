import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openRegistry, type Registry } from '#control/open-registry.ts'
import { provisioningOperations } from '#control/provisioning/enrolment-operations.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { openHttpServer } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import { derivedKey } from './derived-key.ts'
import { tokenOf } from './registrar.conformance.ts'

const symmetric = { attestation: { type: 'symmetricKey' } }

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown> & { readonly etag?: string }
  readonly headers: Headers
}

/** What operators do with enrolments, by the operations that REST serves. @param postgresUrl `undefined`: embedded */
export function enrolmentsConformance(name: string, postgresUrl: () => string | undefined): void {
  describe(`enrolments on ${name}`, () => {
    let registry: Registry
    let server: Awaited<ReturnType<typeof openHttpServer>>

    beforeAll(async () => {
      registry = await openRegistry({
        postgresUrl: postgresUrl(),
        dataDir: undefined,
        connectionsMax: 4,
        logger: silentLogger,
      })
      const operations = provisioningOperations(registry)
      server = await openHttpServer({
        host: '127.0.0.1',
        port: 0,
        routes: (router) => {
          for (const { method, pattern, bodyBytesMax, run, faultAnswer } of operations)
            router.route({ method, pattern, bodyBytesMax, handle: run, ...(faultAnswer && { faultAnswer }) })
        },
      })
    })

    afterAll(async () => {
      await server.close()
      await registry.close()
    })

    async function call(
      method: string,
      path: string,
      body?: unknown,
      headers: Record<string, string> = {},
    ): Promise<Answer> {
      const text = body === undefined ? null : JSON.stringify(body)
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers, body: text })
      const answered = await answer.text()
      return { status: answer.status, body: answered === '' ? {} : JSON.parse(answered), headers: answer.headers }
    }

    test('keys are made, told to whoever puts an enrolment or asks for them, and to nobody else', async () => {
      const put = await call('PUT', '/enrollments/Press-1', { registrationId: 'Press-1', ...symmetric })
      expect(put.status).toBe(200)
      const { symmetricKey } = put.body.attestation as { symmetricKey: { primaryKey: string } }
      expect(symmetricKey.primaryKey).toMatch(/=$/)
      const got = await call('GET', '/enrollments/press-1')
      expect(got.body).toMatchObject({
        registrationId: 'Press-1',
        attestation: { type: 'symmetricKey' },
        provisioningStatus: 'enabled',
        allocationPolicy: 'hashed',
        reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: true },
        capabilities: { iotEdge: false },
        etag: put.body.etag,
      })
      expect(JSON.stringify(got.body)).not.toContain(symmetricKey.primaryKey)
      const mechanism = await call('POST', '/enrollments/press-1/attestationmechanism')
      expect(mechanism.body).toMatchObject({ type: 'symmetricKey', symmetricKey })
    })

    test('what was read can be sent back: keys and certificates stay; a stale etag is refused', async () => {
      const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
      const signer = makeCertificate({ commonName: 'signer', authority: true, ...times })
      const primary = { certificate: signer.certificatePem }
      const x509 = { type: 'x509', x509: { signingCertificates: { primary } } }
      const put = await call('PUT', '/enrollmentGroups/line', { enrollmentGroupId: 'line', attestation: x509 })
      expect(put.body.attestation).toMatchObject({
        type: 'x509',
        x509: { signingCertificates: { primary: { info: { subjectName: 'CN=signer', version: 3 } } } },
      })
      const { body: read } = await call('GET', '/enrollmentGroups/line')
      const initialTwin = { tags: { hall: 'a' }, properties: { desired: { on: true } } }
      const changed = { ...read, provisioningStatus: 'disabled', initialTwin, capabilities: { iotEdge: true } }
      const etag = String(read.etag)
      const second = await call('PUT', '/enrollmentGroups/line', changed, { 'If-Match': etag })
      expect(second.body).toMatchObject({
        provisioningStatus: 'disabled',
        initialTwin,
        attestation: put.body.attestation,
      })
      const stale = await call('PUT', '/enrollmentGroups/line', changed, { 'If-Match': etag.replaceAll('"', '') })
      expect([stale.status, stale.body.errorCode]).toEqual([412, 412_001])
      expect((await call('DELETE', '/enrollmentGroups/line', undefined, { 'If-Match': etag })).status).toBe(412)
      expect((await call('DELETE', '/enrollmentGroups/line', undefined, { 'If-Match': '*' })).status).toBe(204)
      expect((await call('GET', '/enrollmentGroups/line')).status).toBe(404)
    })

    test('pages follow the order of ids, each behind the last one', async () => {
      for (const index of [3, 1, 4, 2, 0]) await call('PUT', `/enrollments/page-${index}`, symmetric)
      const seen: unknown[] = []
      let continuation = ''
      do {
        const headers = { 'x-ms-max-item-count': '2', 'x-ms-continuation': continuation }
        const page = await call('POST', '/enrollments/query', { query: 'SELECT * FROM enrollments' }, headers)
        seen.push(...(page.body as unknown as { registrationId: string }[]).map(({ registrationId }) => registrationId))
        continuation = page.headers.get('x-ms-continuation') ?? ''
      } while (continuation !== '')
      expect(seen.filter((id) => String(id).startsWith('page-'))).toEqual(
        [0, 1, 2, 3, 4].map((index) => `page-${index}`),
      )
      const other = await call('POST', '/enrollments/query', { query: 'SELECT * FROM enrollments WHERE 1=1' })
      expect(other.status).toBe(400)
    })

    test('a group that was deleted and left devices behind is deleted with them, until none is left', async () => {
      const put = await call('PUT', '/enrollmentGroups/left', symmetric)
      const { symmetricKey } = put.body.attestation as { symmetricKey: { primaryKey: string } }
      for (const registrationId of ['left-1', 'left-2'])
        await registry.registrar.provision({
          ...{ step: 'register', registrationId, certificates: [], operationId: undefined, payload: undefined },
          ...{ token: undefined, ...tokenOf(registrationId, derivedKey(symmetricKey.primaryKey, registrationId)) },
        })
      const device = () => registry.identities.get({ deviceId: 'left-2', moduleId: undefined })
      expect(await device()).toBeDefined()
      expect((await call('DELETE', '/enrollmentGroups/left')).status).toBe(204)
      const taken = await call('DELETE', '/enrollmentGroups/left?devices=delete')
      expect(taken.status).toBe(204)
      expect(taken.headers.get('warning')).toBe('299 penstock "devices taken from their hubs: 2"')
      expect(await device()).toBeUndefined()
      expect((await call('DELETE', '/enrollmentGroups/left?devices=delete')).status).toBe(404)
    })

    test('a bulk request carries out each enrolment by itself', async () => {
      const enrollments = [0, 1].map((index) => ({ registrationId: `bulk-${index}`, ...symmetric }))
      const created = await call('POST', '/enrollments', { mode: 'create', enrollments })
      expect(created.body).toEqual({ isSuccessful: true, errors: [] })
      const again = await call('POST', '/enrollments', {
        mode: 'create',
        enrollments: [enrollments[0], { registrationId: 'new', ...symmetric }],
      })
      expect(again.body).toMatchObject({
        isSuccessful: false,
        errors: [{ registrationId: 'bulk-0', errorCode: 409_201 }],
      })
      expect((await call('GET', '/enrollments/new')).status).toBe(200)
      const stale = [{ ...enrollments[0], etag: '"x"' }]
      const refused = await call('POST', '/enrollments', { mode: 'updateIfMatchETag', enrollments: stale })
      expect(refused.body).toMatchObject({ errors: [{ errorCode: 412_001 }] })
      expect((await call('POST', '/enrollments', { mode: 'delete', enrollments })).body.isSuccessful).toBe(true)
      const many = Array.from({ length: limits.bulkEnrolmentsMax + 1 }, () => enrollments[0])
      expect((await call('POST', '/enrollments', { mode: 'create', enrollments: many })).status).toBe(400)
    })

    test.each([
      ['an id with a slash', '/enrollments/a%2Fb', symmetric],
      ['an id that ends with a dot', '/enrollments/a.', symmetric],
      ['another id than that of the path', '/enrollments/a', { registrationId: 'b', ...symmetric }],
      ['no attestation', '/enrollments/a', {}],
      [
        'a short key',
        '/enrollments/a',
        { attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: 'YQ==' } } },
      ],
      ['a custom policy without a webhook', '/enrollments/a', { ...symmetric, allocationPolicy: 'custom' }],
      [
        'a static policy of two hubs',
        '/enrollments/a',
        { ...symmetric, allocationPolicy: 'static', iotHubs: ['a', 'b'] },
      ],
      ['a group with a device id', '/enrollmentGroups/a', { ...symmetric, deviceId: 'd' }],
      ['a twin that is too deep', '/enrollments/a', { ...symmetric, initialTwin: { tags: { 'a.b': 1 } } }],
    ])('%s is refused', async (_what, path, document) => {
      expect((await call('PUT', path, document)).status).toBe(400)
    })
  })
}
