/** Control, an edge and the HTTP server of both in one process, with identities required: what commands pass through. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { createSasToken } from '#control/auth/sas-token.ts'
import type { CommandOptions } from '#control/client/client.ts'
import { controlSettings } from '#control/control-settings.ts'
import { generatedKeys } from '#control/identities/identity.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { StartingDownlink } from '#infra/roles/edge-downlink.ts'
import { type EdgeRegistry, openEdgeRegistry } from '#infra/roles/edge-registry.ts'
import { openRoleUploads } from '#infra/roles/open-role-uploads.ts'
import { type Edge, startEdge } from '#ingest/edge.ts'
import { MemoryLog } from '#pipeline/log/memory/memory-log.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { metricsTable } from '#schemas/metrics.ts'

export interface HttpCall {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export class CommandsInstallation {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'penstock-commands-'))
  readonly hub = 'hub.example'
  control!: Control
  edge!: Edge
  #registry!: EdgeRegistry
  #http!: HttpServer
  readonly #keys = new Map<string, string>()
  readonly #more: Readonly<Record<string, string>>

  /** @param more settings */
  constructor(more: Readonly<Record<string, string>> = {}) {
    this.#more = more
  }

  async start(): Promise<void> {
    const settings = settingsFromEnvironment({
      PENSTOCK_DATA_DIR: this.dataDir,
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: this.hub,
      ...this.#more,
    })
    const parts = { metrics: new Metrics(metricsTable), logger: silentLogger }
    this.control = await openControl({ ...controlSettings(settings), ...parts, audit: silentLogger })
    const downlink = new StartingDownlink()
    this.#registry = await openEdgeRegistry(settings, 'edge-0', parts.metrics, silentLogger, downlink)
    this.edge = await startEdge({
      ...parts,
      ...this.#registry,
      log: new MemoryLog(),
      uploads: await openRoleUploads(settings, this.#registry.deviceUploads, () => 443),
      edgeId: 'edge-0',
      bind: '127.0.0.1',
      mqttPort: 0,
      batchDelayMs: 1,
      connectionsMax: 100,
    })
    downlink.started(this.edge.downlink)
    this.#http = await openHttpServer({
      host: '127.0.0.1',
      port: 0,
      routes: (router) => {
        this.edge.registerRoutes(router, false)
        this.control.registerRoutes(router, false)
      },
    })
  }

  async stop(): Promise<void> {
    await this.edge.close()
    await this.#http.close()
    await this.#registry.close()
    await this.control.close()
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  async addDevice(deviceId: string, moduleId?: string): Promise<void> {
    const content = {
      status: 'enabled',
      statusReason: undefined,
      authentication: generatedKeys,
      iotEdge: false,
    } as const
    const scopes = { deviceScope: undefined, parentScope: undefined, managedBy: undefined }
    const made = await this.control.registry.identities.create({ deviceId, moduleId, ...content, ...scopes })
    this.#keys.set(`${deviceId}/${moduleId ?? ''}`, made.authentication.primaryKey ?? '')
  }

  tokenOf(deviceId: string, moduleId?: string): string {
    const scope = `${this.hub}/devices/${deviceId}${moduleId === undefined ? '' : `/modules/${moduleId}`}`
    const key = this.#keys.get(`${deviceId}/${moduleId ?? ''}`) ?? ''
    return createSasToken({ scope, key, policyName: undefined, expiresAtMs: Date.now() + 60_000 })
  }

  /** The device over MQTT, which keeps its session; not subscribed. */
  connect(deviceId: string, protocolVersion: 4 | 5, more: Partial<IClientOptions> = {}): Promise<MqttClient> {
    return connectAsync(`mqtt://127.0.0.1:${this.edge.mqttPort}`, {
      clientId: deviceId,
      username: `${this.hub}/${deviceId}/?api-version=2021-04-12`,
      password: this.tokenOf(deviceId),
      clean: false,
      reconnectPeriod: 0,
      protocolVersion,
      ...more,
    })
  }

  tokenOfPolicy(policyName: string, key: string, scope = this.hub): string {
    return createSasToken({ scope, key, policyName, expiresAtMs: Date.now() + 60_000 })
  }

  /** As who the token says. */
  call(token: string, method: string, path: string, { headers = {}, body }: HttpCall = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, { method, headers: { Authorization: token, ...headers }, body: body ?? null })
  }

  /** Where the installation answers over HTTP. */
  get url(): string {
    return `http://127.0.0.1:${this.#http.port}`
  }

  asOwner(method: string, path: string, call: HttpCall = {}): Promise<Response> {
    return this.call(this.tokenOfPolicy('iothubowner', this.control.ownerKey), method, path, call)
  }

  commandOptions(write: (line: string) => void): CommandOptions {
    return { url: this.url, hostName: this.hub, ownerKey: this.control.ownerKey, write }
  }

  asDevice(deviceId: string, method: string, path: string): Promise<Response> {
    return this.call(this.tokenOf(deviceId), method, `/devices/${deviceId}/messages/${path}`)
  }

  /** @throws if it was not accepted */
  async send(deviceId: string, body: string, headers: Readonly<Record<string, string>> = {}): Promise<void> {
    const answer = await this.asOwner('POST', `/devices/${deviceId}/messages/deviceBound`, { body, headers })
    if (answer.status !== 204) throw new Error(`${answer.status} ${await answer.text()}`)
  }
}
