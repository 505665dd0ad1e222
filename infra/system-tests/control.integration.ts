import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { admissionRules } from '#control/auth/admission-rules.ts'
import type { Refused } from '#control/auth/auth.ts'
import { Authenticator } from '#control/auth/authenticator.ts'
import { parseConnectionString } from '#control/auth/connection-string.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { ensureFirstDevice } from '#control/identities/first-device.ts'
import { controlSocketPath } from '#control/link/directory-contract.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { openDirectory } from '#control/open-edge-control.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { rekeyPolicy } from '#control/trust/policies.ts'
import { runAuthoritiesCommand } from '#infra/commands/authorities.ts'
import { runDevicesCommand } from '#infra/commands/devices.ts'
import { runPoliciesCommand } from '#infra/commands/policies.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { createLogger, silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'

const rules = admissionRules('hub.example', 300)

describe('the control role on the embedded store', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-control-'))
  const auditLines: string[] = []
  let control: Control
  let server: HttpServer

  async function open() {
    control = await openControl({
      dataDir,
      postgresUrl: undefined,
      postgresConnectionsMax: 1,
      ownerKey: undefined,
      rules,
      metrics: new Metrics(metricsTable),
      logger: silentLogger,
      audit: createLogger('audit', 'debug', (line) => auditLines.push(line)),
    })
    const routes = (router: HttpRouter) => control.registerRoutes(router, false)
    server = await openHttpServer({ host: '127.0.0.1', port: 0, routes })
  }

  async function close() {
    await server.close()
    await control.close()
  }

  beforeAll(open)
  afterAll(async () => {
    await close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  interface Call {
    body?: unknown
    ifMatch?: string
    headers?: Record<string, string>
    policyName?: string
    key?: string
    scope?: string
    expiresInMs?: number
  }

  async function call(method: string, path: string, options: Call = {}) {
    const {
      policyName = 'iothubowner',
      key = readOwnerKey(dataDir) ?? '',
      scope = 'hub.example',
      expiresInMs = 60_000,
    } = options
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      method,
      headers: {
        Authorization: createSasToken({ scope, key, policyName, expiresAtMs: Date.now() + expiresInMs }),
        ...(options.ifMatch === undefined ? {} : { 'If-Match': options.ifMatch }),
        ...options.headers,
      },
      body:
        options.body === undefined
          ? null
          : typeof options.body === 'string'
            ? options.body
            : JSON.stringify(options.body),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
  }

  test('a device is created, read, replaced by etag, and deleted, with the answers of the hub', async () => {
    const created = await call('PUT', '/devices/rest-1?api-version=2021-04-12', { body: { deviceId: 'rest-1' } })
    expect(created.status).toBe(200)
    expect(created.headers.get('etag')).toBe(`"${created.body.etag}"`)
    expect(created.body).toMatchObject({
      deviceId: 'rest-1',
      connectionState: 'Disconnected',
      status: 'enabled',
      statusReason: null,
      lastActivityTime: '0001-01-01T00:00:00Z',
      authentication: {
        type: 'sas',
        symmetricKey: { primaryKey: expect.any(String), secondaryKey: expect.any(String) },
        x509Thumbprint: { primaryThumbprint: null, secondaryThumbprint: null },
      },
      capabilities: { iotEdge: false },
    })
    expect((await call('GET', '/devices/rest-1')).body).toEqual(created.body)
    const again = await call('PUT', '/devices/rest-1', { body: { deviceId: 'rest-1' } })
    expect([again.status, again.headers.get('iothub-errorcode')]).toEqual([409, 'DeviceAlreadyExists'])
    expect(again.body.Message).toMatch(/^ErrorCode:DeviceAlreadyExists;/)
    for (const ifMatch of [`"${created.body.etag}"`, '"*"', '*']) {
      const replaced = await call('PUT', '/devices/rest-1', { body: { ...created.body, status: 'disabled' }, ifMatch })
      expect([ifMatch, replaced.status, replaced.body.status]).toEqual([ifMatch, 200, 'disabled'])
      expect(replaced.body.authentication).toEqual(created.body.authentication)
    }
    const stale = await call('PUT', '/devices/rest-1', { body: created.body, ifMatch: created.body.etag })
    expect([stale.status, stale.body.Message]).toEqual([412, expect.stringMatching(/^ErrorCode:PreconditionFailed;/)])
    expect((await call('DELETE', '/devices/rest-1')).status).toBe(400)
    expect((await call('DELETE', '/devices/rest-1', { ifMatch: 'stale' })).status).toBe(412)
    expect((await call('DELETE', '/devices/rest-1', { ifMatch: '*' })).status).toBe(204)
    const gone = await call('GET', '/devices/rest-1')
    expect([gone.status, gone.body.Message]).toEqual([404, expect.stringMatching(/^ErrorCode:DeviceNotFound;/)])
    expect((await call('PUT', '/devices/rest-1', { body: {}, ifMatch: '*' })).status).toBe(404)
  })

  test('ids are percent-encoded in paths; what is no id, no JSON or no UTF-8 is 400', async () => {
    const id = "a:b#c?d%e'f"
    expect((await call('PUT', `/devices/${encodeURIComponent(id)}`, { body: { deviceId: id } })).body.deviceId).toBe(id)
    expect((await call('GET', `/devices/${encodeURIComponent(id)}`)).body.deviceId).toBe(id)
    for (const [path, body] of [
      ['/devices/a%2Fb', {}],
      ['/devices/a%20b', {}],
      ['/devices/%ff', {}],
      ['/devices/ok/modules/%ff', {}],
      [`/devices/${'x'.repeat(129)}`, {}],
      ['/devices/ok', '{'],
      ['/devices/ok', '[]'],
      ['/devices/ok', { deviceId: 'other' }],
      ['/devices/ok', { status: 'maybe' }],
      ['/devices/ok', { statusReason: 5 }],
      ['/devices/ok', { parentScopes: ['one', 'two'] }],
      ['/devices/ok', { parentScopes: 'one' }],
      ['/devices/ok', { parentScopes: ['x'.repeat(513)] }],
      ['/devices/ok', { authentication: { type: 'magic' } }],
      ['/devices/ok', { authentication: { type: 'sas', symmetricKey: { primaryKey: 'x', secondaryKey: 'y' } } }],
      ['/devices/ok', { authentication: { type: 'selfSigned' } }],
    ] as const) {
      expect([path, (await call('PUT', path, { body })).status]).toEqual([path, 400])
    }
    expect((await call('PUT', '/devices/ok', { body: `"${'x'.repeat(600_000)}"` })).status).toBe(413)
    expect((await call('GET', '/devices/ok')).status).toBe(404)
  })

  test('scopes of edge devices are kept as they were given, also by a replacement of what was read', async () => {
    const scopes = { deviceScope: 'ms-azure-iot-edge://here-1', parentScopes: ['ms-azure-iot-edge://above-2'] }
    const created = await call('PUT', '/devices/below', { body: scopes })
    expect(created.body).toMatchObject(scopes)
    const changed = { ...created.body, status: 'disabled' }
    const replaced = await call('PUT', '/devices/below', { body: changed, ifMatch: '*' })
    expect(replaced.body).toMatchObject({ ...scopes, status: 'disabled' })
    expect((await call('GET', '/devices/below')).body).toEqual(replaced.body)
    const cleared = await call('PUT', '/devices/below', { body: { ...changed, parentScopes: [] }, ifMatch: '*' })
    expect(cleared.body.parentScopes).toEqual([])
  })

  test('modules are created, listed and deleted', async () => {
    expect((await call('PUT', '/devices/host/modules/m', { body: {} })).status).toBe(404)
    await call('PUT', '/devices/host', { body: {} })
    const created = await call('PUT', '/devices/host/modules/m', {
      body: { moduleId: 'm', deviceId: 'host', managedBy: 'me' },
    })
    expect(created.body).toMatchObject({ moduleId: 'm', deviceId: 'host', managedBy: 'me' })
    expect((await call('GET', '/devices/host/modules')).body).toEqual([created.body])
    expect((await call('GET', '/devices/host/modules/')).body).toEqual([created.body])
    // A module id that was left out must not become the device itself.
    expect((await call('DELETE', '/devices/host/modules/', { ifMatch: '*' })).status).toBe(404)
    expect((await call('GET', '/devices/host')).status).toBe(200)
    expect((await call('GET', '/devices/host/modules/m')).body).toEqual(created.body)
    expect((await call('PUT', '/devices/host/modules/m', { body: {} })).body.Message).toMatch(
      'ModuleAlreadyExistsOnDevice',
    )
    expect((await call('DELETE', '/devices/host/modules/m', { ifMatch: `"${created.body.etag}"` })).status).toBe(204)
    expect((await call('GET', '/devices/host/modules/m')).body.Message).toMatch('ErrorCode:ModuleNotFound')
  })

  test('bulk, list, statistics and query answer as the hub does', async () => {
    const items = Array.from({ length: 25 }, (_, index) => ({
      id: `b-${String(index).padStart(2, '0')}`,
      importMode: 'create',
    }))
    expect((await call('POST', '/devices', { body: items })).body).toEqual({
      isSuccessful: true,
      errors: [],
      warnings: [],
    })
    const mixed = await call('POST', '/devices/', {
      body: [
        { id: 'b-00', importMode: 'Delete' },
        { id: 'b-01', importMode: 'CreateOrUpdate', status: 'disabled' },
        { id: 'b-02', importMode: 'create' },
        { id: 'b-03', importMode: 'updateTwin', tags: { bulk: true } },
      ],
    })
    expect(mixed.status).toBe(400)
    expect(mixed.body.isSuccessful).toBe(false)
    expect(mixed.body.errors).toEqual([
      expect.objectContaining({ deviceId: 'b-02', errorCode: 409_001, operation: 'create' }),
    ])
    expect((await call('GET', '/twins/b-03')).body).toMatchObject({ tags: { bulk: true }, version: 3 })
    const { body: listed, headers } = await call('GET', '/devices/?top=3')
    expect(listed).toHaveLength(3)
    const next = await call('GET', '/devices?top=3', {
      headers: { 'x-ms-continuation': headers.get('x-ms-continuation') ?? '' },
    })
    expect(next.body[0].deviceId > listed[2].deviceId).toBe(true)
    const statistics = (await call('GET', '/statistics/devices')).body
    expect(statistics.totalDeviceCount).toBe(statistics.enabledDeviceCount + statistics.disabledDeviceCount)
    expect((await call('GET', '/statistics/service')).body).toEqual({ connectedDeviceCount: 0 })

    const query = (text: string, headersOf: Record<string, string>) =>
      call('POST', '/devices/query', { body: { query: text }, headers: headersOf })
    const text = "SELECT * FROM devices WHERE STARTSWITH(deviceId, 'b-')"
    const first = await query(text, { 'x-ms-max-item-count': '20' })
    expect([first.body.length, first.headers.get('x-ms-item-type')]).toEqual([20, 'twin'])
    expect(first.body[0]).toMatchObject({ deviceId: 'b-01', status: 'disabled', authenticationType: 'sas', tags: {} })
    expect(JSON.stringify(first.body)).not.toContain('primaryKey')
    const second = await query(text, { 'x-ms-continuation': first.headers.get('x-ms-continuation') ?? '' })
    expect([second.body.length, second.headers.get('x-ms-continuation')]).toEqual([4, null])
    expect((await query('SELECT nothing', {})).status).toBe(400)
    expect((await query(text, { 'x-ms-max-item-count': '-1' })).status).toBe(400)
  })

  test('only a policy with the right, for this hub, within its time, is let in', async () => {
    const policies = (await control.registry.trust.trust()).policies
    const keyOf = (name: string) => policies.find((policy) => policy.name === name)?.primaryKey ?? ''
    const read = { policyName: 'registryRead', key: keyOf('registryRead') }
    expect((await call('GET', '/devices', read)).status).toBe(200)
    const write = await call('PUT', '/devices/denied', { ...read, body: {} })
    expect([write.status, write.headers.get('iothub-errorcode')]).toEqual([401, 'IotHubUnauthorizedAccess'])
    for (const refused of [
      { policyName: 'service', key: keyOf('service') },
      { policyName: 'registryRead', key: keyOf('service') },
      { policyName: 'nobody' },
      { scope: 'other.example' },
      { scope: 'hub.example/devices/other' },
      { expiresInMs: -400_000 },
    ]) {
      expect((await call('GET', '/devices/b-01', refused)).status).toBe(401)
    }
    expect((await call('GET', '/devices/b-01', { scope: 'hub.example/devices/b-01' })).status).toBe(200)
    expect((await fetch(`http://127.0.0.1:${server.port}/devices`)).status).toBe(401)
  })

  test('what is not served is 404 in the form of the hub, whatever the path and method', async () => {
    for (const [method, path] of [
      ['PATCH', '/devices/b-01'],
      ['PUT', '/statistics/devices'],
      ['GET', '/jobs'],
      ['POST', '/'],
    ] as const) {
      const { status, headers, body } = await call(method, path)
      expect([path, status, headers.get('iothub-errorcode')]).toEqual([path, 404, 'NotFound'])
      expect(body.Message).toMatch(/^ErrorCode:NotFound;/)
    }
  })

  test('a certificate authority lets devices in once its owner has proven possession, and no longer when it is removed', async () => {
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const root = makeCertificate({ commonName: 'maker', authority: true, ...times })
    const leaf = makeCertificate({ commonName: 'by-ca', issuer: root, use: 'client', ...times })
    const other = makeCertificate({ commonName: 'other', issuer: root, use: 'client', ...times })
    const path = '/certificateAuthorities/maker'
    expect((await call('PUT', path, { body: { certificate: leaf.certificatePem } })).status).toBe(400)
    expect((await call('PUT', path, { body: { certificate: 'nonsense' } })).status).toBe(400)
    const pending = await call('PUT', path, { body: { certificate: root.certificatePem } })
    expect(pending.body).toMatchObject({ name: 'maker', isVerified: false, subject: 'CN=maker' })
    await call('PUT', '/devices/by-ca', { body: { authentication: { type: 'certificateAuthority' } } })
    const authenticator = new Authenticator({
      directory: control.directory,
      rules,
      devicesCachedMax: 100,
      metrics: new Metrics(metricsTable),
      logger: silentLogger,
    })
    const connect = (deviceId: string, certificate: typeof leaf) =>
      authenticator.authenticate({
        clientId: deviceId,
        username: `hub.example/${deviceId}/?api-version=2021-04-12`,
        password: undefined,
        certificates: [new X509Certificate(certificate.certificatePem)],
        confidential: true,
      })
    expect(await connect('by-ca', leaf)).toMatchObject({ code: 'AUTH_CERTIFICATE_REFUSED' })
    const proof = makeCertificate({ commonName: pending.body.verificationCode, issuer: root, ...times })
    const selfMade = makeCertificate({ commonName: pending.body.verificationCode, ...times })
    expect((await call('POST', `${path}/verify`, { body: { certificate: selfMade.certificatePem } })).status).toBe(400)
    const verified = await call('POST', `${path}/verify`, { body: { certificate: proof.certificatePem } })
    expect(verified.body).toMatchObject({ name: 'maker', isVerified: true })
    expect((await call('PUT', path, { body: { certificate: root.certificatePem } })).body.isVerified).toBe(true)
    expect(await connect('by-ca', other)).toMatchObject({ code: 'AUTH_CERTIFICATE_REFUSED' })
    const admitted = await connect('by-ca', leaf)
    if (!admitted.admitted) throw new Error(admitted.reason)
    const revoked: Refused[] = []
    authenticator.watch(admitted, (refused) => revoked.push(refused))
    expect((await call('GET', '/certificateAuthorities')).body).toHaveLength(1)
    expect((await call('DELETE', path)).status).toBe(204)
    expect((await call('GET', path)).status).toBe(404)
    await expect.poll(() => revoked.map(({ code }) => code)).toEqual(['AUTH_REVOKED'])
    authenticator.close()
  })

  test('the command line registers an authority, takes the proof that it says how to make, and removes it', async () => {
    const lines: string[] = []
    const run = (...args: string[]) =>
      runAuthoritiesCommand(args, {
        url: `http://127.0.0.1:${server.port}`,
        hostName: 'hub.example',
        ownerKey: readOwnerKey(dataDir) ?? '',
        write: (line) => lines.push(line),
      })
    const file = (name: string, content: string) => {
      const path = join(dataDir, name)
      writeFileSync(path, content)
      return path
    }
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const root = makeCertificate({ commonName: 'cli-ca', authority: true, ...times })
    await run('add', 'cli-ca', file('ca.pem', root.certificatePem))
    expect(lines[0]).toMatch(/^cli-ca\tunverified\tCN=cli-ca\t/)
    const commonName = /-subj \/CN=(\S+)/.exec(lines[1] ?? '')?.[1] ?? ''
    const proof = makeCertificate({ commonName, issuer: root, ...times })
    await expect(run('verify', 'cli-ca', join(dataDir, 'ca.pem'))).rejects.toMatchObject({ code: 'CONTROL_REFUSED' })
    await run('verify', 'cli-ca', file('proof.pem', proof.certificatePem))
    await run('list')
    expect(lines.at(-1)).toMatch(/^cli-ca\tverified\t/)
    await run('delete', 'cli-ca')
    await expect(run('delete', 'cli-ca')).rejects.toMatchObject({ code: 'CONTROL_REFUSED' })
    for (const args of [[], ['add', 'cli-ca'], ['add', 'cli-ca', join(dataDir, 'none.pem')], ['dance', 'x']])
      await expect(run(...args)).rejects.toMatchObject({ code: 'CONTROL_COMMAND_INVALID' })
  })

  test('every operation of a service is in the audit log, and no secret is', async () => {
    auditLines.length = 0
    const created = await call('PUT', '/devices/audited', { body: {} })
    await call('GET', '/devices/audited', { key: created.body.authentication.symmetricKey.primaryKey })
    await call('DELETE', '/devices/audited', { ifMatch: '*', headers: { 'X-Penstock-Client-Address': '192.0.2.1' } })
    await call('GET', '/devices/audited', { headers: { 'X-Penstock-Client-Address': 'name=x' } })
    const text = auditLines.join('\n')
    expect(text).toMatch(/info {2}audit: changed operation="?PUT \/devices\/audited"? policy=iothubowner status=200/)
    expect(text).toMatch(/warn {2}audit: refused .*status=401/)
    expect(text).toMatch(/changed operation="?DELETE .* status=204 from=192\.0\.2\.1/)
    expect(text).toMatch(/read operation="?GET .* status=404 from=127\.0\.0\.1/)
    expect(text).not.toContain(created.body.authentication.symmetricKey.primaryKey)
    expect(text).not.toContain(control.ownerKey)
    expect(text).not.toContain('SharedAccessSignature')
  })

  test('ids with + or # are made, and whoever makes them is told that they are no MQTT topic; other ids are not warned of', async () => {
    const told = /^299 penstock "(plus\+1|d\/m#1) cannot publish below devices\/.*wildcards/
    const warning = async (path: string, options = {}) => {
      const made = await call('PUT', path, { body: {}, ...options })
      expect(made.status).toBe(200)
      return made.headers.get('warning')
    }
    expect(await warning('/devices/plus%2B1')).toMatch(told)
    expect(await warning('/devices/d')).toBeNull()
    expect(await warning('/devices/d/modules/m%231')).toMatch(told)
    expect(await warning('/devices/plus%2B1', { ifMatch: '*' })).toBeNull()
    const items = ['b#1', 'b#2', 'b-3'].map((id) => ({ id, importMode: 'create' }))
    const bulk = await call('POST', '/devices', { body: items })
    expect([bulk.status, bulk.headers.get('warning')]).toEqual([200, expect.stringMatching(/b#1 .*; 2 such ids/)])
    expect(auditLines.join('\n')).toMatch(/changed operation="PUT \/devices\/plus%2B1".*warning=.*wildcards/)
  })

  test('the command line manages devices', async () => {
    const lines: string[] = []
    const run = (...args: string[]) =>
      runDevicesCommand(args, {
        url: `http://127.0.0.1:${server.port}`,
        hostName: 'hub.example',
        deviceHostName: 'hub.example:18883',
        ownerKey: readOwnerKey(dataDir) ?? '',
        write: (line) => lines.push(line),
      })
    await run('create', 'cli-1')
    const made = parseConnectionString(lines.at(-1) ?? '')
    expect(made).toMatchObject({ hostName: 'hub.example:18883', deviceId: 'cli-1' })
    await run('create', 'cli-1/m')
    expect(parseConnectionString(lines.at(-1) ?? '')).toMatchObject({ deviceId: 'cli-1', moduleId: 'm' })
    await run('disable', 'cli-1', 'stolen')
    expect((await call('GET', '/devices/cli-1')).body).toMatchObject({ status: 'disabled', statusReason: 'stolen' })
    await run('enable', 'cli-1')
    await run('connection-string', 'cli-1')
    expect(parseConnectionString(lines.at(-1) ?? '')).toEqual(made)
    await run('rekey', 'cli-1')
    expect(parseConnectionString(lines.at(-1) ?? '').sharedAccessKey).not.toBe(made.sharedAccessKey)
    const keys = async () => (await call('GET', '/devices/cli-1')).body.authentication.symmetricKey
    for (const [renewed, kept] of [
      ['primary', 'secondary'],
      ['secondary', 'primary'],
    ]) {
      const before = await keys()
      await run('rekey', 'cli-1', `--${renewed}`)
      const after = await keys()
      expect(after[`${kept}Key`]).toBe(before[`${kept}Key`])
      expect(after[`${renewed}Key`]).not.toBe(before[`${renewed}Key`])
      expect(parseConnectionString(lines.at(-1) ?? '').sharedAccessKey).toBe(after[`${renewed}Key`])
    }
    lines.length = 0
    await run('create', 'cli#2')
    expect(lines.filter((line) => /^warning: cli#2 cannot publish/.test(line)).length).toBe(1)
    lines.length = 0
    await run('create', 'cli-3')
    expect(lines.join('\n')).not.toContain('warning')
    lines.length = 0
    await run('list')
    expect(lines.length).toBe((await control.registry.identities.statistics()).devices)
    lines.length = 0
    await run('show', 'cli-1', '--json')
    expect(JSON.parse(lines.join('\n')).deviceId).toBe('cli-1')
    await run('delete', 'cli-1')
    await expect(run('show', 'cli-1')).rejects.toMatchObject({ code: 'CONTROL_REFUSED' })
    for (const args of [[], ['dance', 'x'], ['show'], ['list', '--what'], ['list', '--top', 'x']]) {
      await expect(run(...args)).rejects.toMatchObject({ code: 'CONTROL_COMMAND_INVALID' })
    }
    await expect(
      runDevicesCommand(['list'], {
        url: 'http://127.0.0.1:1',
        hostName: 'h',
        deviceHostName: 'h',
        ownerKey: 'k',
        write() {},
      }),
    ).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' })
  })

  test('quotas of single devices are set, shown and removed, over REST and from the command line', async () => {
    await call('PUT', '/devices/quota-1', { body: { deviceId: 'quota-1' } })
    const lines: string[] = []
    const run = (...args: string[]) =>
      runDevicesCommand(args, {
        url: `http://127.0.0.1:${server.port}`,
        hostName: 'hub.example',
        deviceHostName: 'hub.example',
        ownerKey: readOwnerKey(dataDir) ?? '',
        write: (line) => lines.push(line),
      })
    await run('quota', 'quota-1', 'messages:100', 'connections:0')
    const path = '/api/quotas/quota-1'
    const quota = { deviceId: 'quota-1', messagesPerSecond: 100, connectionsPerMinute: 0 }
    expect((await call('GET', path)).body).toEqual(quota)
    expect((await call('GET', '/api/quotas')).body).toEqual([quota])
    const put = await call('PUT', path, { body: { bytesPerSecond: 7 } })
    expect([put.status, put.body]).toEqual([200, { deviceId: 'quota-1', bytesPerSecond: 7 }])
    await run('quota', 'quota-1')
    await run('quotas')
    expect(lines).toEqual(['quota-1 messages:100 connections:0', 'quota-1 bytes:7', 'quota-1 bytes:7'])
    for (const body of [{}, [], { messagesPerSecond: -1 }, { messagesPerSecond: 0.5 }, { messagePerSecond: 1 }])
      expect((await call('PUT', path, { body })).status).toBe(400)
    expect((await call('PUT', '/api/quotas/nobody', { body: { bytesPerSecond: 7 } })).status).toBe(404)
    await expect(run('quota', 'quota-1', 'tokens:3')).rejects.toMatchObject({ code: 'CONTROL_COMMAND_INVALID' })
    await run('quota', 'quota-1', '--remove')
    expect((await call('GET', path)).status).toBe(404)
    const policy = (await control.registry.trust.trust()).policies.find(({ name }) => name === 'registryRead')
    const reader = { policyName: 'registryRead', key: policy?.primaryKey ?? '' }
    expect((await call('GET', '/api/quotas', reader)).status).toBe(200)
    expect((await call('PUT', path, { body: { bytesPerSecond: 7 }, ...reader })).status).toBe(401)
  })

  test('the owner alone sees and renews the keys of policies; what the old key let in ends', async () => {
    const lines: string[] = []
    const run = (...args: string[]) =>
      runPoliciesCommand(args, {
        url: `http://127.0.0.1:${server.port}`,
        hostName: 'hub.example',
        ownerKey: readOwnerKey(dataDir) ?? '',
        write: (line) => lines.push(line),
      })
    const shown = async (...args: string[]) => {
      await run(...args)
      return parseConnectionString(lines.at(-1) ?? '')
    }
    await run('list')
    expect(lines).toContain('registryReadWrite\tRegistryRead RegistryWrite')
    const service = await shown('show', 'registryReadWrite')
    expect(service).toMatchObject({ hostName: 'hub.example', sharedAccessKeyName: 'registryReadWrite' })
    const byService = { policyName: 'registryReadWrite', key: service.sharedAccessKey ?? '' }
    expect((await call('GET', '/devices', byService)).status).toBe(200)
    for (const [method, path] of [
      ['GET', '/policies'],
      ['GET', '/policies/service'],
      ['POST', '/policies/service/rekey'],
    ] as const) {
      expect((await call(method, path, { ...byService, ...(method === 'GET' ? {} : { body: {} }) })).status).toBe(401)
    }
    const secondary = (await shown('show', 'registryReadWrite', '--secondary')).sharedAccessKey ?? ''
    const renewed = (await shown('rekey', 'registryReadWrite', '--primary')).sharedAccessKey ?? ''
    await expect.poll(async () => (await call('GET', '/devices', byService)).status).toBe(401)
    for (const key of [renewed, secondary])
      expect((await call('GET', '/devices', { ...byService, key })).status).toBe(200)

    await call('PUT', '/devices/by-policy', { body: {} })
    const key = (await shown('show', 'device')).sharedAccessKey ?? ''
    const token = createSasToken({ scope: 'hub.example', key, policyName: 'device', expiresAtMs: Date.now() + 60_000 })
    const authenticator = new Authenticator({
      directory: control.directory,
      rules,
      devicesCachedMax: 100,
      metrics: new Metrics(metricsTable),
      logger: silentLogger,
    })
    const admitted = await authenticator.authenticate({
      clientId: 'by-policy',
      username: 'hub.example/by-policy/?api-version=2021-04-12',
      password: Buffer.from(token),
      certificates: [],
      confidential: true,
    })
    if (!admitted.admitted) throw new Error(admitted.reason)
    const revoked: Refused[] = []
    authenticator.watch(admitted, (refused) => revoked.push(refused))
    await run('rekey', 'device', '--primary')
    await expect.poll(() => revoked.map(({ code }) => code)).toEqual(['AUTH_REVOKED'])
    authenticator.close()

    const before = readOwnerKey(dataDir)
    const owner = await shown('rekey', 'iothubowner', '--primary')
    expect(owner.sharedAccessKey).not.toBe(before)
    expect(readOwnerKey(dataDir)).toBe(owner.sharedAccessKey)
    await expect.poll(async () => (await call('GET', '/policies')).status).toBe(200)
    for (const args of [['rekey', 'device'], ['rekey', 'device', '--primary', '--secondary'], ['show'], ['dance', 'x']])
      await expect(run(...args)).rejects.toMatchObject({ code: 'CONTROL_COMMAND_INVALID' })
    await expect(run('show', 'nobody')).rejects.toMatchObject({ code: 'CONTROL_REFUSED' })
  })

  test("the owner's primary key is not renewed where a setting says it", async () => {
    const options = { dataDir, ownerKey: readOwnerKey(dataDir) }
    const renewal = rekeyPolicy(control.registry.trust, options, 'iothubowner', 'primary')
    await expect(renewal).rejects.toMatchObject({ code: 'REGISTRY_ARGUMENT_INVALID' })
  })

  test('an edge process is told within a second of whom to cut off, also across a restart of the control role [G-6]', async () => {
    const directory = await openDirectory({ dataDir, postgresUrl: undefined, logger: silentLogger })
    const authenticator = new Authenticator({
      directory,
      rules,
      devicesCachedMax: 100,
      metrics: new Metrics(metricsTable),
      logger: silentLogger,
    })
    const connect = async (deviceId: string) => {
      const { body } = await call('PUT', `/devices/${deviceId}`, { body: {} })
      const admission = await authenticator.authenticate({
        clientId: deviceId,
        username: deviceId,
        password: Buffer.from(body.authentication.symmetricKey.primaryKey),
        certificates: [],
        confidential: true,
      })
      if (!admission.admitted) throw new Error(admission.reason)
      const revoked: Refused[] = []
      authenticator.watch(admission, (refused) => revoked.push(refused))
      return { body, revoked, admission }
    }
    const one = await connect('edge-1')
    const two = await connect('edge-2')
    await call('PUT', '/devices/edge-1', { body: { ...one.body, status: 'disabled' }, ifMatch: '*' })
    await expect.poll(() => one.revoked.map(({ code }) => code)).toEqual(['AUTH_REVOKED'])
    expect(two.revoked).toEqual([])

    directory.report([{ deviceId: 'edge-2', moduleId: undefined, connected: true, edgeId: 'edge-0', atMs: Date.now() }])
    await expect.poll(async () => (await call('GET', '/devices/edge-2')).body.connectionState).toBe('Connected')
    const atMs = Date.now() + 1_000
    await directory.beat('edge-0', [{ deviceId: 'edge-2', moduleId: undefined, atMs }])
    const { connectionState, lastActivityTime } = (await call('GET', '/devices/edge-2')).body
    expect([connectionState, lastActivityTime]).toEqual(['Connected', new Date(atMs).toISOString()])
    expect(await directory.reset('edge-0', Date.now())).toEqual([{ deviceId: 'edge-2', moduleId: undefined }])
    expect((await call('GET', '/devices/edge-2')).body.connectionState).toBe('Disconnected')

    const ownerKey = readOwnerKey(dataDir)
    await close()
    const waiting = authenticator.authenticate({
      clientId: 'edge-3',
      username: 'edge-3',
      password: Buffer.from('x'),
      certificates: [],
      confidential: true,
    })
    await open()
    // Asked while nobody served: answered once somebody does.
    expect(await waiting).toMatchObject({ admitted: false, code: 'AUTH_IDENTITY_UNKNOWN' })
    expect(control.ownerKey).toBe(ownerKey)
    await control.registry.identities.delete({ deviceId: 'edge-2', moduleId: undefined }, undefined)
    await expect.poll(() => two.revoked.length, { timeout: 30_000 }).toBe(1)
    authenticator.close()
    await directory.close()
  })

  test('secrets on disk are readable by their owner only, and one control role serves a data folder', async () => {
    for (const path of [join(dataDir, 'owner-key'), controlSocketPath(dataDir)]) {
      expect([path, (statSync(path).mode & 0o077).toString(8)]).toEqual([path, '0'])
    }
    await expect(
      openControl({
        dataDir,
        postgresUrl: undefined,
        postgresConnectionsMax: 1,
        ownerKey: undefined,
        rules,
        metrics: new Metrics(metricsTable),
        logger: silentLogger,
        audit: silentLogger,
      }),
    ).rejects.toMatchObject({ code: 'PORT_UNAVAILABLE', disposition: 'fatal' })
  })

  test('a first device is made only where there is none', async () => {
    expect(await ensureFirstDevice(control.registry.identities, 'device-1')).toBe(undefined)
  })
})
