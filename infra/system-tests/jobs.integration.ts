/**
 * Jobs and configurations as the hub's own service SDK asks for them, unchanged but for its port, over TLS: control with its store, an edge, devices on MQTT.
 * And everything as a user runs it, with control killed while a job goes on.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server } from 'node:tls'
import { Registry as HubRegistry, JobClient } from 'azure-iothub'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatConnectionString } from '#control/auth/connection-string.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { controlSettings } from '#control/control-settings.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { runJobsCommand } from '#infra/commands/jobs.ts'
import { type StandaloneEdge, startStandaloneEdge } from '#infra/roles/standalone-edge-fixture.ts'
import { penstockPorts, RunningPenstock } from '#infra/testbed/penstock.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { type HttpService, httpService } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { metricsTable } from '#schemas/metrics.ts'

const methodFilter = '$iothub/methods/POST/#'

/** @param onCall what it gives is answered; `undefined`: nothing is */
async function connectDevice(url: string, deviceId: string, key: string, onCall: (payload: unknown) => unknown) {
  const client = await mqtt.connectAsync(url, { clientId: deviceId, username: deviceId, password: key, clean: false })
  client.on('error', () => {})
  client.on('message', (topic, body) => {
    const answer = onCall(JSON.parse(String(body)))
    const requestId = topic.split('$rid=')[1]
    if (answer !== undefined) client.publish(`$iothub/methods/res/200/?$rid=${requestId}`, JSON.stringify(answer))
  })
  await client.subscribeAsync(methodFilter)
  return client
}

describe("the hub's own service SDK", () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-jobs-'))
  const clients: mqtt.MqttClient[] = []
  let control: Control
  let service: HttpService
  let server: Server
  let edge: StandaloneEdge
  let agent: Agent
  let authorityPem: string
  let hub: HubRegistry
  let jobs: JobClient

  beforeAll(async () => {
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const authority = makeCertificate({ commonName: 'test authority', authority: true, ...times })
    authorityPem = authority.certificatePem
    const certificate = makeCertificate({
      commonName: 'localhost',
      hosts: ['localhost'],
      use: 'server',
      issuer: authority,
      ...times,
    })
    const settings = settingsFromEnvironment({
      PENSTOCK_DATA_DIR: folder,
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: 'localhost',
    })
    const metrics = new Metrics(metricsTable)
    control = await openControl({ ...controlSettings(settings), metrics, logger: silentLogger, audit: silentLogger })
    service = httpService({ routes: (router) => control.registerRoutes(router, true) })
    server = createServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem }, (socket) =>
      service.accept(socket),
    )
    await once(server.listen(0, '127.0.0.1'), 'listening')
    edge = await startStandaloneEdge(settings, 'edge-0')
    const connectionString = formatConnectionString({
      hostName: 'localhost',
      sharedAccessKeyName: 'iothubowner',
      sharedAccessKey: control.ownerKey,
    })
    agent = Object.assign(new Agent({ ca: authority.certificatePem, family: 4 }), {
      defaultPort: (server.address() as AddressInfo).port,
    })
    hub = HubRegistry.fromConnectionString(connectionString)
    jobs = JobClient.fromConnectionString(connectionString)
    // The clients have 443 built in; their agent decides otherwise.
    for (const client of [hub, jobs])
      (Reflect.get(client, '_restApiClient') as { setOptions(options: unknown): void }).setOptions({ http: { agent } })
  })

  afterAll(async () => {
    for (const client of clients) client.end(true)
    await edge?.close()
    server?.close()
    await service?.close(0)
    await control?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const made = async (deviceId: string, hall: string): Promise<string> => {
    const { responseBody } = await hub.create({ deviceId })
    await hub.updateTwin(deviceId, { tags: { hall } }, '*')
    return responseBody.authentication?.symmetricKey?.primaryKey ?? ''
  }
  const statusOf = async (id: string) => (await jobs.getJob(id)).jobStatus as Record<string, unknown>
  const untilCompleted = (id: string) =>
    expect.poll(async () => (await statusOf(id)).status, { timeout: 30_000, interval: 100 }).toBe('completed')
  // Without a continuation `next` asks for the first page again and again.
  const devicesOf = async (id: string): Promise<Record<string, unknown>[]> => {
    const query = hub.createQuery(`SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '${id}'`, 1)
    const found: Record<string, unknown>[] = []
    while (query.hasMoreResults)
      found.push(...((await query.next(query.continuationToken)).result as Record<string, unknown>[]))
    return found
  }

  test('schedules a twin update for the devices of a query, and learns what became of each', async () => {
    for (const [deviceId, hall] of [
      ['t-1', 'a'],
      ['t-2', 'b'],
      ['t-3', 'a'],
    ] as const)
      await made(deviceId, hall)
    const patch = { etag: '*', tags: { checked: true }, properties: { desired: { interval: 30 } } }
    const { jobStatus } = await jobs.scheduleTwinUpdate('twins', "tags.hall = 'a'", patch, new Date(), 600)
    expect(jobStatus).toMatchObject({ jobId: 'twins', type: 'scheduleUpdateTwin', updateTwin: patch })
    await untilCompleted('twins')
    expect(await statusOf('twins')).toMatchObject({
      queryCondition: "tags.hall = 'a'",
      maxExecutionTimeInSeconds: 600,
      endTime: expect.any(String),
      deviceJobStatistics: { deviceCount: 2, succeededCount: 2, failedCount: 0, runningCount: 0, pendingCount: 0 },
    })
    expect(await devicesOf('twins')).toMatchObject([
      { deviceId: 't-1', jobId: 'twins', jobType: 'scheduleUpdateTwin', status: 'completed' },
      { deviceId: 't-3', status: 'completed' },
    ])
    const { responseBody: twin } = await hub.getTwin('t-3')
    expect(twin).toMatchObject({ tags: { hall: 'a', checked: true }, properties: { desired: { interval: 30 } } })
    expect((await hub.getTwin('t-2')).responseBody.properties.desired).not.toHaveProperty('interval')
  })

  test('calls a method of many devices, and has their answers, and the reasons of those that gave none', async () => {
    for (const deviceId of ['m-1', 'm-2']) {
      const key = await made(deviceId, 'm')
      const answer = (payload: unknown) => ({ from: deviceId, payload })
      if (deviceId === 'm-1') clients.push(await connectDevice(`mqtt://127.0.0.1:${edge.port}`, deviceId, key, answer))
    }
    const method = { methodName: 'reboot', payload: { in: 5 }, responseTimeoutInSeconds: 10 }
    await jobs.scheduleDeviceMethod('methods', "tags.hall = 'm'", method, new Date(), 60)
    await untilCompleted('methods')
    expect(await devicesOf('methods')).toMatchObject([
      {
        deviceId: 'm-1',
        status: 'completed',
        outcome: { deviceMethodResponse: { status: 200, payload: { from: 'm-1', payload: { in: 5 } } } },
      },
      { deviceId: 'm-2', status: 'failed', error: { code: 'DeviceNotOnline' } },
    ])
  })

  test('lists jobs by kind and status, page by page, and cancels one that waits for its time', async () => {
    const start = new Date(Date.now() + 3_600_000)
    for (const id of ['w-1', 'w-2', 'w-3']) await jobs.scheduleTwinUpdate(id, '*', { tags: {} }, start, 60)
    const query = jobs.createQuery('scheduleUpdateTwin', 'scheduled', 2)
    const pages: string[][] = []
    while (query.hasMoreResults)
      pages.push(((await query.next(query.continuationToken)).result as { jobId: string }[]).map(({ jobId }) => jobId))
    expect(pages).toEqual([['w-1', 'w-2'], ['w-3']])
    expect((await jobs.cancelJob('w-2')).jobStatus).toMatchObject({ status: 'cancelled' })
    await expect(jobs.getJob('nothing')).rejects.toThrow('Not found')
    await expect(jobs.scheduleTwinUpdate('w-1', '*', { tags: {} }, start, 60)).rejects.toThrow()
    await expect(jobs.scheduleTwinUpdate('bad', 'tags.a =', { tags: {} }, start, 60)).rejects.toMatchObject({
      name: 'ArgumentError',
    })
  })

  test('keeps a configuration for the devices that meet its condition, and applies content to one at once', async () => {
    await made('c-1', 'c')
    const wanted = {
      id: 'eco',
      schemaVersion: '1.0',
      labels: { of: 'test' },
      content: { deviceContent: { 'properties.desired.mode': 'eco' } },
      targetCondition: "tags.hall = 'c'",
      priority: 5,
      metrics: { queries: { eco: "SELECT deviceId FROM devices WHERE properties.desired.mode = 'eco'" } },
    }
    const modeOf = async (): Promise<unknown> => (await hub.getTwin('c-1')).responseBody.properties.desired.mode
    const { responseBody: created } = await hub.addConfiguration(wanted)
    expect(created).toMatchObject(wanted)
    await expect.poll(modeOf, { timeout: 30_000, interval: 100 }).toBe('eco')
    await expect
      .poll(async () => (await hub.getConfiguration('eco')).responseBody, { timeout: 30_000, interval: 100 })
      .toMatchObject({
        systemMetrics: { results: { targetedCount: 1, appliedCount: 1 } },
        metrics: { results: { eco: 1 } },
      })
    expect(Reflect.get((await hub.getTwin('c-1')).responseBody, 'configurations')).toEqual({
      eco: { status: 'Applied' },
    })
    const { responseBody: updated } = await hub.updateConfiguration({ ...created, priority: 6 })
    expect(updated.priority).toBe(6)
    await expect(hub.updateConfiguration(created)).rejects.toMatchObject({ name: 'InvalidEtagError' })
    await expect(hub.addConfiguration(wanted)).rejects.toThrow()
    expect((await hub.getConfigurations()).responseBody).toMatchObject([{ id: 'eco', priority: 6 }])
    await hub.removeConfiguration('eco')
    await expect.poll(modeOf, { timeout: 30_000, interval: 100 }).toBeUndefined()
    await hub.applyConfigurationContentOnDevice('c-1', { deviceContent: { 'properties.desired.mode': 'once' } })
    expect(await modeOf()).toBe('once')
  })

  test('operators list, show and cancel jobs', async () => {
    const lines: string[] = []
    const access = { url: `https://localhost:${(server.address() as AddressInfo).port}`, authority: authorityPem }
    const run = async (...args: string[]): Promise<string[]> => {
      lines.length = 0
      const write = (line: string) => void lines.push(line)
      await runJobsCommand(args, { ...access, hostName: 'localhost', ownerKey: control.ownerKey, write })
      return lines
    }
    const start = new Date(Date.now() + 3_600_000)
    await jobs.scheduleTwinUpdate('op-1', "deviceId = 'x'", { tags: {} }, start, 60)
    expect(await run('list', '--status', 'scheduled')).toContain(
      'op-1\tscheduled\tscheduleUpdateTwin\t0 of 0\t0 failed',
    )
    expect(await run('cancel', 'op-1')).toEqual(['op-1\tcancelled\tscheduleUpdateTwin\t0 of 0\t0 failed'])
    expect(await run('show', 'op-1')).toContain("devices: deviceId = 'x'")
    await expect(run('show')).rejects.toThrow(/the id of a job is expected/)
    await expect(run('list', '--status', 'done')).rejects.toThrow(/jobStatus must be one of scheduled, queued/)
  })

  test('a policy that may only read begins and cancels nothing', async () => {
    const { policies } = await control.registry.trust.trust()
    const { port } = server.address() as AddressInfo
    const statuses = new Map<string, unknown[]>()
    for (const { name: policyName, primaryKey: key } of policies) {
      const token = createSasToken({ scope: 'localhost', key, policyName, expiresAtMs: Date.now() + 60_000 })
      const ask = async (method: string, path: string): Promise<number | undefined> => {
        const asking = request({ host: 'localhost', port, method, path, agent, headers: { Authorization: token } })
        asking.end(method === 'PUT' ? '{}' : '')
        const [answer]: IncomingMessage[] = await once(asking, 'response')
        return answer?.resume().statusCode
      }
      statuses.set(policyName, [
        await ask('PUT', '/jobs/v2/none'),
        await ask('POST', '/jobs/v2/none/cancel'),
        await ask('GET', '/jobs/v2/none'),
        await ask('PUT', '/configurations/none'),
        await ask('GET', '/configurations/none'),
      ])
    }
    expect(Object.fromEntries(statuses)).toMatchObject({
      iothubowner: [400, 404, 404, 400, 404],
      service: [400, 404, 404, 401, 401],
      registryRead: [401, 401, 404, 401, 404],
      registryReadWrite: [401, 401, 404, 400, 404],
      device: [401, 401, 401, 401, 401],
    })
  })
})

test('control is killed while a job calls devices: none is called twice, and those of which nobody knows say so [G-11]', async () => {
  const ownerKey = randomBytes(32).toString('base64')
  const penstock = await RunningPenstock.start({
    settings: {
      ...(await penstockPorts()),
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_JOB_DEVICES_PER_SECOND: '5',
    },
  })
  const clients: mqtt.MqttClient[] = []
  const ask = async (method: string, path: string, body?: object): Promise<Record<string, never>> => {
    const expiresAtMs = Date.now() + 600_000
    const token = createSasToken({ scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs })
    for (;;) {
      const answer = await fetch(`${penstock.httpUrl}${path}`, {
        method,
        headers: { Authorization: token, 'Content-Type': 'application/json' },
        body: body === undefined ? null : JSON.stringify(body),
      })
      if (answer.status < 500) return (await answer.json()) as Record<string, never>
    }
  }
  try {
    const called = new Map<string, number>()
    const deviceIds = Array.from({ length: 12 }, (_, index) => `killed-${String(index).padStart(2, '0')}`)
    for (const deviceId of deviceIds) {
      const device = (await ask('PUT', `/devices/${deviceId}`, { deviceId })) as never as {
        authentication: { symmetricKey: { primaryKey: string } }
      }
      const answer = (payload: unknown) => {
        called.set(deviceId, (called.get(deviceId) ?? 0) + 1)
        // One that never answers: its call is under way when control is killed.
        return deviceId === 'killed-00' ? undefined : payload
      }
      clients.push(
        await connectDevice(penstock.mqttUrl, deviceId, device.authentication.symmetricKey.primaryKey, answer),
      )
    }
    await ask('PUT', '/jobs/v2/killed', {
      type: 'scheduleDeviceMethod',
      cloudToDeviceMethod: { methodName: 'reboot', responseTimeoutInSeconds: 300, connectTimeoutInSeconds: 20 },
      queryCondition: "STARTSWITH(deviceId, 'killed-')",
    })
    await expect.poll(() => called.size, { timeout: 30_000, interval: 20 }).toBeGreaterThan(0)
    for (const pid of penstock.pidsOf('control')) process.kill(pid, 'SIGKILL')
    const statusOf = async () => (await ask('GET', '/jobs/v2/killed')) as Record<string, unknown>
    await expect.poll(async () => (await statusOf()).status, { timeout: 90_000, interval: 200 }).toBe('completed')
    const { deviceJobStatistics } = await statusOf()
    const query = { query: "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'killed'" }
    const outcomes = (await ask('POST', '/devices/query', query)) as never as {
      deviceId: string
      status: string
      error?: { code: string }
    }[]
    expect(deviceJobStatistics).toMatchObject({ deviceCount: 12, runningCount: 0, pendingCount: 0 })
    expect(outcomes.find(({ deviceId }) => deviceId === 'killed-00')).toMatchObject({ error: { code: 'Unknown' } })
    for (const { deviceId, status, error } of outcomes) {
      if (status === 'completed') expect(called.get(deviceId)).toBe(1)
      else expect([error?.code, called.get(deviceId) ?? 0]).toEqual(['Unknown', expect.toBeOneOf([0, 1])])
    }
  } finally {
    for (const client of clients) client.end(true)
    await penstock.stop()
  }
}, 180_000)
