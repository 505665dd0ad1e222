/**
 * Direct methods through everything but the processes: REST, control with its store, the downlink, two edges, devices on MQTT. Once with
 * the embedded store, whose edges come by the local socket, once with PostgreSQL, where control dials them.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { controlSettings } from '#control/control-settings.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { type StandaloneEdge, startStandaloneEdge } from '#infra/roles/standalone-edge-fixture.ts'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'

const hub = 'hub.penstock.test'
const methodFilter = '$iothub/methods/POST/#'
/** By hand: MOVES=1000 CALLS=10000. */
const moves = Number(process.env.MOVES ?? 8)
const callsMin = Number(process.env.CALLS ?? 200)

interface Answer {
  readonly status: number
  readonly body: { readonly status?: number; readonly payload?: unknown }
  readonly errorCode: number | undefined
}

class Installation {
  readonly control: Control
  readonly server: HttpServer
  readonly edges: StandaloneEdge[]
  readonly #settings: Settings
  readonly #clients: mqtt.MqttClient[] = []

  private constructor(settings: Settings, control: Control, server: HttpServer, edges: StandaloneEdge[]) {
    this.#settings = settings
    this.control = control
    this.server = server
    this.edges = edges
  }

  static async open(environment: Record<string, string>): Promise<Installation> {
    const settings = settingsFromEnvironment({
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: hub,
      ...environment,
    })
    const options = { ...controlSettings(settings), metrics: new Metrics<MetricName>(metricsTable) }
    const control = await openControl({ ...options, logger: silentLogger, audit: silentLogger })
    const routes: Parameters<typeof openHttpServer>[0]['routes'] = (router) => control.registerRoutes(router, false)
    const server = await openHttpServer({ host: '127.0.0.1', port: 0, routes })
    const edges = [await startStandaloneEdge(settings, 'edge-0'), await startStandaloneEdge(settings, 'edge-1')]
    return new Installation(settings, control, server, edges)
  }

  async restartEdges(): Promise<void> {
    for (const edge of this.edges.splice(0)) await edge.close()
    for (const edgeId of ['edge-0', 'edge-1']) this.edges.push(await startStandaloneEdge(this.#settings, edgeId))
  }

  async register(deviceId: string): Promise<string> {
    const made = await this.control.registry.identities.create({
      deviceId,
      moduleId: undefined,
      status: 'enabled',
      statusReason: undefined,
      authentication: generatedKeys,
      iotEdge: false,
      deviceScope: undefined,
      parentScope: undefined,
      managedBy: undefined,
    })
    return made.authentication.primaryKey ?? ''
  }

  /** @param onCall told of each method with its payload; what it gives is answered */
  async connect(
    edge: number,
    deviceId: string,
    key: string,
    onCall: (payload: unknown) => unknown,
    version: 4 | 5 = 4,
  ) {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${this.edges[edge]?.port}`, {
      protocolVersion: version,
      clientId: deviceId,
      username: deviceId,
      password: key,
      clean: false,
      reconnectPeriod: 0,
      resubscribe: false,
      ...(version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}),
    })
    this.#clients.push(client)
    client.on('error', () => {})
    client.on('message', (topic, body) => {
      const requestId = /\?\$rid=(.*)$/.exec(topic)?.[1]
      const answer = onCall(JSON.parse(String(body)))
      if (answer !== undefined) client.publish(`$iothub/methods/res/200/?$rid=${requestId}`, JSON.stringify(answer))
    })
    return client
  }

  disconnectAll(): void {
    for (const client of this.#clients.splice(0)) client.end(true)
  }

  async call(deviceId: string, call: object, policyName = 'iothubowner', key?: string): Promise<Answer> {
    const token = createSasToken({
      scope: hub,
      key: key ?? this.control.ownerKey,
      policyName,
      expiresAtMs: Date.now() + 600_000,
    })
    const response = await fetch(
      `http://127.0.0.1:${this.server.port}/twins/${deviceId}/methods?api-version=2021-04-12`,
      {
        method: 'POST',
        headers: { Authorization: token, 'Content-Type': 'application/json; charset=utf-8' },
        body: JSON.stringify({ methodName: 'echo', ...call }),
      },
    )
    const body = (await response.json()) as Answer['body'] & { readonly Message?: string }
    const { Message: message = '' } = body
    const { errorCode } = JSON.parse(message.startsWith('{') ? message : '{}') as { errorCode?: number }
    return { status: response.status, body, errorCode }
  }

  async close(): Promise<void> {
    this.disconnectAll()
    for (const edge of this.edges) await edge.close()
    await this.server.close()
    await this.control.close()
  }
}

function methodsOver(name: string, open: () => Promise<Installation>): void {
  describe(`methods over ${name}`, () => {
    let installation: Installation

    beforeAll(async () => {
      installation = await open()
    })
    afterEach(() => installation?.disconnectAll())
    afterAll(() => installation?.close())

    test.each([4, 5] as const)(
      'a device that speaks MQTT level %i answers, or the caller learns why not',
      async (version) => {
        const deviceId = `level-${version}`
        const key = await installation.register(deviceId)
        expect((await installation.call(deviceId, {})).errorCode).toBe(404_103)
        expect((await installation.call('nobody', { connectTimeoutInSeconds: 300 })).errorCode).toBe(404_001)
        expect((await installation.call(`${deviceId}`, { methodName: 'a/b' })).errorCode).toBe(400_004)
        const client = await installation.connect(0, deviceId, key, (payload) => ({ echo: payload }), version)
        const waiting = installation.call(deviceId, { payload: 7, connectTimeoutInSeconds: 20 })
        await client.subscribeAsync(methodFilter, { qos: 1 })
        expect((await waiting).body).toEqual({ status: 200, payload: { echo: 7 } })
        expect((await installation.call(deviceId, { payload: { é: '"' } })).body).toEqual({
          status: 200,
          payload: { echo: { é: '"' } },
        })
        await client.unsubscribeAsync(methodFilter)
        expect((await installation.call(deviceId, {})).errorCode).toBe(404_103)
      },
    )

    test('methods need the right ServiceConnect', async () => {
      const { policies } = await installation.control.registry.trust.trust()
      const statuses = new Map<string, number>()
      for (const { name, primaryKey } of policies)
        statuses.set(name, (await installation.call('nobody', {}, name, primaryKey)).status)
      expect(Object.fromEntries(statuses)).toMatchObject({
        iothubowner: 404,
        service: 404,
        device: 401,
        registryRead: 401,
      })
    })

    test('a device whose connection ends with a call under way is not called again [G-9]', async () => {
      const key = await installation.register('lost')
      let calls = 0
      const client = await installation.connect(0, 'lost', key, () => {
        calls++
        client.end(true)
      })
      await client.subscribeAsync(methodFilter)
      expect((await installation.call('lost', { connectTimeoutInSeconds: 20 })).errorCode).toBe(404_104)
      expect(calls).toBe(1)
    })

    test('a session goes on at another edge, and after all edges were restarted, without subscribing again', async () => {
      const key = await installation.register('kept')
      const first = await installation.connect(0, 'kept', key, () => 'first')
      await first.subscribeAsync(methodFilter)
      // It is written a moment after it was granted.
      const { sessions } = installation.control.registry
      const kept = () => sessions.sessions([{ deviceId: 'kept', moduleId: undefined }])
      await expect.poll(kept, { timeout: 30_000 }).toMatchObject([{ subscriptions: expect.any(Number) }])
      await first.endAsync()
      await installation.connect(1, 'kept', key, () => 'second')
      const connectTimeoutInSeconds = 20
      expect((await installation.call('kept', { connectTimeoutInSeconds })).body.payload).toBe('second')
      installation.disconnectAll()
      await installation.restartEdges()
      await installation.connect(0, 'kept', key, () => 'third')
      expect((await installation.call('kept', { connectTimeoutInSeconds })).body.payload).toBe('third')
    })

    test('devices that move between edges answer every method, and none twice [G-9]', async () => {
      const key = await installation.register('moving')
      const seen = new Map<unknown, number>()
      const onCall = (payload: unknown) => {
        seen.set(payload, (seen.get(payload) ?? 0) + 1)
        return payload
      }
      const first = await installation.connect(0, 'moving', key, onCall)
      await first.subscribeAsync(methodFilter)
      let isMoving = true
      let calls = 0
      const outcomes = new Map<number | undefined, number>()
      const caller = async (): Promise<void> => {
        while (isMoving || calls < callsMin) {
          const payload = calls++
          const answer = await installation.call('moving', { payload, connectTimeoutInSeconds: 5 })
          if (answer.status === 200) expect(answer.body.payload).toBe(payload)
          outcomes.set(answer.errorCode, (outcomes.get(answer.errorCode) ?? 0) + 1)
        }
      }
      const callers = [caller(), caller(), caller()]
      let here = first
      for (let move = 1; move <= moves; move++) {
        const next = await installation.connect(move % 2, 'moving', key, onCall)
        await expect.poll(() => here.connected, { timeout: 30_000, interval: 5 }).toBe(false)
        const before = calls
        await expect.poll(() => calls, { timeout: 30_000, interval: 5 }).toBeGreaterThan(before + 10)
        here = next
      }
      isMoving = false
      await Promise.all(callers)
      expect([...outcomes]).toEqual([[undefined, calls]])
      expect(Math.max(...seen.values())).toBe(1)
    })
  })
}

describe('methods on the embedded store', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-methods-'))
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

  methodsOver('the local socket', () => Installation.open({ PENSTOCK_DATA_DIR: dataDir }))
})

const postgres = serverFor('PostgreSQL', postgresMissing)

describe.skipIf(postgres.skip)(`methods on a PostgreSQL server ${postgres.note}`, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-methods-'))
  let server: PostgresForTests

  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(async () => {
    await server?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const open = () => Installation.open({ PENSTOCK_DATA_DIR: dataDir, PENSTOCK_POSTGRES_URL: server.url })

  methodsOver('connections between machines', open)

  test('methods go on while PostgreSQL is away, also to a device that comes meanwhile', async () => {
    const installation = await open()
    try {
      const key = await installation.register('steadfast')
      const first = await installation.connect(0, 'steadfast', key, () => 'here')
      await first.subscribeAsync(methodFilter)
      const connectTimeoutInSeconds = 20
      expect((await installation.call('steadfast', { connectTimeoutInSeconds })).body.payload).toBe('here')
      await server.kill()
      expect((await installation.call('steadfast', {})).body.payload).toBe('here')
      await first.endAsync()
      const waiting = installation.call('steadfast', { connectTimeoutInSeconds })
      const second = await installation.connect(0, 'steadfast', key, () => 'again')
      await second.subscribeAsync(methodFilter)
      expect((await waiting).body.payload).toBe('again')
    } finally {
      await server.start()
      await installation.close()
    }
  })
})
