import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server } from 'node:tls'
import { Registry as HubRegistry } from 'azure-iothub'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { type HttpService, httpService } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { admissionRules } from './auth/admission-rules.ts'
import { formatConnectionString } from './auth/connection-string.ts'
import { type Control, openControl } from './open-control.ts'

/** The service SDK's registry client, unchanged but for its port (it has no setting for one), over TLS. */
describe("the hub's own service SDK", () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-sdk-'))
  let control: Control
  let service: HttpService
  let server: Server
  let hub: HubRegistry
  let agent: Agent

  /** The client has 443 built in; its agent decides otherwise. */
  function direct(registry: HubRegistry): void {
    const client = Reflect.get(registry, '_restApiClient') as { setOptions(options: unknown): void }
    client.setOptions({ http: { agent } })
  }

  beforeAll(async () => {
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const authority = makeCertificate({ commonName: 'test authority', authority: true, ...times })
    const certificate = makeCertificate({
      commonName: 'localhost',
      hosts: ['localhost'],
      use: 'server',
      issuer: authority,
      ...times,
    })
    control = await openControl({
      dataDir: folder,
      postgresUrl: undefined,
      postgresConnectionsMax: 1,
      ownerKey: undefined,
      rules: admissionRules('localhost', 300),
      metrics: new Metrics(metricsTable),
      logger: silentLogger,
      audit: silentLogger,
    })
    service = httpService({ routes: (router) => control.registerRoutes(router, true) })
    server = createServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem }, (socket) =>
      service.accept(socket),
    )
    await once(server.listen(0, '127.0.0.1'), 'listening')
    hub = HubRegistry.fromConnectionString(
      formatConnectionString({
        hostName: 'localhost',
        sharedAccessKeyName: 'iothubowner',
        sharedAccessKey: control.ownerKey,
      }),
    )
    agent = Object.assign(new Agent({ ca: authority.certificatePem, family: 4 }), {
      defaultPort: (server.address() as AddressInfo).port,
    })
    direct(hub)
  })

  afterAll(async () => {
    server.close()
    await service.close(0)
    await control.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('creates, reads, updates, lists and deletes devices', async () => {
    const { responseBody: created } = await hub.create({ deviceId: 'sdk-1' })
    expect(created.authentication?.symmetricKey?.primaryKey).toMatch(/=$/)
    const { responseBody: read } = await hub.get('sdk-1')
    expect(read.deviceId).toBe('sdk-1')
    const { responseBody: updated } = await hub.update({ ...read, status: 'disabled', statusReason: 'why' } as never)
    expect(updated).toMatchObject({ status: 'disabled', statusReason: 'why' })
    expect(updated.authentication).toEqual(created.authentication)
    await expect(hub.create({ deviceId: 'sdk-1' })).rejects.toMatchObject({ name: 'DeviceAlreadyExistsError' })
    expect((await hub.list()).responseBody.map(({ deviceId }) => deviceId)).toContain('sdk-1')
    await hub.delete('sdk-1')
    await expect(hub.get('sdk-1')).rejects.toMatchObject({ name: 'DeviceNotFoundError' })
  })

  test('manages modules', async () => {
    await hub.create({ deviceId: 'sdk-2' })
    const { responseBody: module } = await hub.addModule({ deviceId: 'sdk-2', moduleId: 'm' } as never)
    expect(module.moduleId).toBe('m')
    expect((await hub.getModulesOnDevice('sdk-2')).responseBody).toHaveLength(1)
    expect((await hub.getModule('sdk-2', 'm')).responseBody.authentication).toEqual(module.authentication)
    await hub.updateModule({ ...module, managedBy: 'me' })
    expect((await hub.getModule('sdk-2', 'm')).responseBody.managedBy).toBe('me')
    await hub.removeModule('sdk-2', 'm')
    expect((await hub.getModulesOnDevice('sdk-2')).responseBody).toEqual([])
  })

  test('adds, updates and removes in bulk, and queries page by page', async () => {
    const devices = Array.from({ length: 30 }, (_, index) => ({ deviceId: `bulk-${String(index).padStart(2, '0')}` }))
    const { responseBody: added } = await hub.addDevices(devices as never)
    expect(added.isSuccessful).toBe(true)
    const { responseBody: updated } = await hub.updateDevices(
      devices.slice(0, 3).map((device) => ({ ...device, status: 'disabled' })) as never,
      true,
    )
    expect(updated.isSuccessful).toBe(true)
    const query = hub.createQuery("SELECT * FROM devices WHERE STARTSWITH(deviceId, 'bulk-')", 8)
    const seen: string[] = []
    while (query.hasMoreResults) {
      for (const twin of (await query.nextAsTwin()).result) seen.push(twin.deviceId)
    }
    expect(seen).toEqual(devices.map(({ deviceId }) => deviceId))
    const { responseBody: removed } = await hub.removeDevices(devices as never, true)
    expect(removed.isSuccessful).toBe(true)
    expect((await hub.getRegistryStatistics()).responseBody).toMatchObject({ disabledDeviceCount: 0 })
  })

  test('reads, patches and replaces twins, of modules too, each by its etag', async () => {
    await hub.create({ deviceId: 'twin-1' })
    await hub.addModule({ deviceId: 'twin-1', moduleId: 'm' } as never)
    const { responseBody: fresh } = await hub.getTwin('twin-1')
    expect(fresh).toMatchObject({ deviceId: 'twin-1', etag: 'AAAAAAAAAAE=', version: 2, tags: {} })
    expect(fresh.properties.desired).toMatchObject({ $version: 1 })
    const patch = {
      tags: { site: { hall: 'a' } },
      properties: { desired: { fw: { version: '2', url: 'u' }, gone: 1 } },
    }
    const { responseBody: patched } = await hub.updateTwin('twin-1', patch, fresh.etag)
    expect(patched).toMatchObject({ ...patch, version: 3, properties: { desired: { $version: 2 } } })
    expect(patched.properties.desired.$metadata.fw.version).toMatchObject({ $lastUpdatedVersion: 2 })
    await expect(hub.updateTwin('twin-1', patch, fresh.etag)).rejects.toMatchObject({ name: 'InvalidEtagError' })
    // As the twin object of the SDK does it: with the etag that it read.
    await patched.update({ properties: { desired: { gone: null } } })
    expect(patched.properties.desired).not.toHaveProperty('gone')
    const { responseBody: module } = await hub.updateModuleTwin('twin-1', 'm', { tags: { of: 'module' } }, '*')
    expect(module).toMatchObject({ deviceId: 'twin-1', moduleId: 'm', tags: { of: 'module' } })
    expect((await hub.getTwin('twin-1')).responseBody.tags).toEqual({ site: { hall: 'a' } })
    await expect(hub.updateTwin('twin-1', { tags: { 'a.b': 1 } }, '*')).rejects.toMatchObject({ name: 'ArgumentError' })
    await expect(hub.getTwin('nobody')).rejects.toMatchObject({ name: 'DeviceNotFoundError' })
  })

  test('queries twins by tags and properties, page by page, and counts them', async () => {
    for (const [index, hall] of ['a', 'b', 'a', 'a'].entries()) {
      const deviceId = `hall-${index}`
      await hub.create({ deviceId })
      await hub.updateTwin(deviceId, { tags: { hall, floor: index }, properties: { desired: { on: true } } }, '*')
    }
    const query = hub.createQuery("SELECT * FROM devices WHERE tags.hall = 'a' AND properties.desired.on = true", 2)
    const seen: string[] = []
    while (query.hasMoreResults) for (const twin of (await query.nextAsTwin()).result) seen.push(twin.deviceId)
    expect(seen).toEqual(['hall-0', 'hall-2', 'hall-3'])
    const counts = hub.createQuery(
      'SELECT tags.hall AS hall, COUNT() AS n, MAX(tags.floor) AS top FROM devices WHERE IS_DEFINED(tags.hall) GROUP BY tags.hall',
    )
    expect((await counts.next()).result).toEqual(
      expect.arrayContaining([
        { hall: 'a', n: 3, top: 3 },
        { hall: 'b', n: 1, top: 1 },
      ]),
    )
  })

  test('a wrong key is UnauthorizedError', async () => {
    const stranger = HubRegistry.fromConnectionString(
      `HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=${Buffer.alloc(32).toString('base64')}`,
    )
    direct(stranger)
    await expect(stranger.get('sdk-2')).rejects.toMatchObject({ name: 'UnauthorizedError' })
  })
})
