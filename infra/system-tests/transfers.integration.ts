/** Exports and imports of all identities as the hub's own service SDK asks for them, unchanged but for its port, with containers of Azurite. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server } from 'node:tls'
import { Registry as HubRegistry } from 'azure-iothub'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatConnectionString } from '#control/auth/connection-string.ts'
import { controlSettings } from '#control/control-settings.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { type AzuriteForTests, azuriteMissing, startAzurite } from '#infra/testbed/azurite.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { AzureTransferContainers } from '#pipeline/sinks/azure-blob/azure-transfer-containers.ts'
import { TestContainer } from '#pipeline/sinks/azure-blob/container-fixture.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { type HttpService, httpService } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { metricsTable } from '#schemas/metrics.ts'

const azurite = serverFor('Azurite', azuriteMissing)

describe.skipIf(azurite.skip)(`the hub's own service SDK, with a container of Azurite ${azurite.note}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-transfers-'))
  let storage: AzuriteForTests
  let control: Control
  let service: HttpService
  let server: Server
  let agent: Agent
  let hub: HubRegistry
  let container: TestContainer

  const connect = (sharedAccessKeyName: string, sharedAccessKey: string): HubRegistry => {
    const registry = HubRegistry.fromConnectionString(
      formatConnectionString({ hostName: 'localhost', sharedAccessKeyName, sharedAccessKey }),
    )
    const client = Reflect.get(registry, '_restApiClient') as { setOptions(options: unknown): void }
    client.setOptions({ http: { agent } })
    return registry
  }

  beforeAll(async () => {
    storage = await startAzurite()
    container = new TestContainer(storage, 'identities')
    await container.create()
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const authority = makeCertificate({ commonName: 'test authority', authority: true, ...times })
    const certificate = makeCertificate({
      ...{ commonName: 'localhost', hosts: ['localhost'], use: 'server', issuer: authority, ...times },
    })
    const settings = settingsFromEnvironment({ PENSTOCK_DATA_DIR: folder, PENSTOCK_HOSTNAME: 'localhost' })
    control = await openControl({
      ...controlSettings(settings),
      transferContainers: new AzureTransferContainers({ ownPorts: [], allowed: [] }),
      ...{ metrics: new Metrics(metricsTable), logger: silentLogger, audit: silentLogger },
    })
    service = httpService({ routes: (router) => control.registerRoutes(router, true) })
    server = createServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem }, (socket) =>
      service.accept(socket),
    )
    await once(server.listen(0, '127.0.0.1'), 'listening')
    agent = Object.assign(new Agent({ ca: authority.certificatePem, family: 4 }), {
      defaultPort: (server.address() as AddressInfo).port,
    })
    hub = connect('iothubowner', control.ownerKey)
  })

  afterAll(async () => {
    agent?.destroy()
    server?.close()
    await service?.close(0)
    await control?.close()
    await storage?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  interface HubJob {
    readonly jobId: string
    readonly status: string
    readonly failureReason?: string
  }
  const jobOf = (answer: unknown): HubJob => {
    const { responseBody } = answer as { responseBody?: HubJob }
    return responseBody ?? (answer as HubJob)
  }
  async function ended(answer: unknown): Promise<HubJob> {
    const { jobId } = jobOf(answer)
    const job = async () => jobOf(await hub.getJob(jobId))
    await expect.poll(async () => (await job()).status).toMatch(/^(completed|failed|cancelled)$/)
    return await job()
  }
  const blob = async (name: string): Promise<string> => String((await container.objects()).get(name))

  test('exports to a container, imports what was exported, and says what was refused', async () => {
    const { responseBody: made } = await hub.create({ deviceId: 'kept' })
    await hub.addModule({ deviceId: 'kept', moduleId: 'm' } as never)
    await hub.updateTwin('kept', { tags: { hall: 'a' }, properties: { desired: { on: true } } }, '*')
    const uri = await container.uri('rcwl')
    const exported = await ended(await hub.exportDevicesToBlob(uri, false))
    expect(exported).toMatchObject({ type: 'export', status: 'completed', progress: 100, excludeKeysInExport: false })
    expect(JSON.stringify(exported)).not.toContain('sig=')
    const lines = (await blob('devices.txt')).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).moduleId)).toEqual([undefined, 'm'])
    await hub.delete('kept')
    await container.put('devices.txt', `${lines.join('\n')}\n{"id":"kept","importMode":"create"}`)
    const imported = await ended(await hub.importDevicesFromBlob(uri, uri))
    expect(imported).toMatchObject({ type: 'import', status: 'completed', identitiesDone: 2, identitiesRefused: 1 })
    expect((await hub.get('kept')).responseBody.authentication).toEqual(made.authentication)
    expect((await hub.getTwin('kept')).responseBody).toMatchObject({
      tags: { hall: 'a' },
      properties: { desired: { on: true } },
    })
    expect((await hub.getModule('kept', 'm')).responseBody.moduleId).toBe('m')
    expect(JSON.parse(await blob('importErrors.log'))).toMatchObject({ line: 3, deviceId: 'kept', errorCode: 409_001 })
    // One that refuses nothing leaves nothing of the one before.
    await container.put('devices.txt', lines.join('\n'))
    expect(await ended(await hub.importDevicesFromBlob(uri, uri))).toMatchObject({ status: 'completed' })
    expect(await blob('importErrors.log')).toBe('')
    const { responseBody: listed } = (await hub.listJobs()) as unknown as { responseBody: HubJob[] }
    expect(listed.map(({ jobId }) => jobId).slice(1)).toEqual([imported.jobId, exported.jobId])
  })

  test('a container that is not to be written to fails the job with what it said, and leaves no signature behind', async () => {
    const failed = await ended(await hub.exportDevicesToBlob(await container.uri('rl'), true))
    expect(failed).toMatchObject({ status: 'failed', failureReason: expect.stringContaining('403') })
    await control.registry.transfers.sweep()
    expect(await control.registry.transfers.read(failed.jobId)).toBeUndefined()
  })

  test('a job that was cancelled is told as such, and one that is not there as unknown', async () => {
    await container.put('devices.txt', '{"id":"later"}\n'.repeat(2_000))
    const uri = await container.uri('rcwl')
    const { jobId } = jobOf(await hub.importDevicesFromBlob(uri, uri))
    const waiting = jobOf(await hub.exportDevicesToBlob(uri, false))
    expect(waiting.status).toBe('enqueued')
    for (const id of [waiting.jobId, jobId]) await hub.cancelJob(id)
    expect(await ended({ jobId })).toMatchObject({ status: 'cancelled' })
    await expect(hub.getJob('none')).rejects.toMatchObject({
      responseBody: expect.stringContaining('JobNotFound'),
    })
  })

  test('addresses that lead inwards, and callers that are not the owner, are refused', async () => {
    const inwards = 'https://169.254.169.254/container?sig=x'
    await expect(hub.exportDevicesToBlob(inwards, false)).rejects.toMatchObject({
      responseBody: expect.stringContaining('PENSTOCK_ENDPOINTS_ALLOWED'),
    })
    await expect(hub.exportDevicesToBlobByIdentity(await container.uri('rcwl'), false)).rejects.toMatchObject({
      responseBody: expect.stringContaining('storageAuthenticationType'),
    })
    const policy = await control.registry.trust.trust()
    const { primaryKey = '' } = policy.policies.find(({ name }) => name === 'registryReadWrite') ?? {}
    await expect(connect('registryReadWrite', primaryKey).listJobs()).rejects.toMatchObject({
      name: 'UnauthorizedError',
    })
  })
})
