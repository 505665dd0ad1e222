/** The configurations of docs/SENDERS.md that cost little to run, as they stand there, over TLS and with identities. */
import { execFile } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type DevelopmentCa, makeDevelopmentCa } from '#infra/commands/development-ca.ts'
import type { RunningBroker } from '#infra/testbed/broker.ts'
import { namedBlock } from '#infra/testbed/document-blocks.ts'
import { findMosquitto, mosquittoMissing, startMosquitto } from '#infra/testbed/mosquitto.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { type Edge, startEdge } from '#ingest/edge.ts'
import { CapturingLog, listeningEdgeOptions } from '#ingest/edge-fixture.ts'
import { type HttpsServer, openHttpsServer } from '#ingest/listeners/https-server.ts'
import { httpService } from '#runtime/http/http.ts'
import { silentLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'

const run = promisify(execFile)
const mosquitto = serverFor('mosquitto', mosquittoMissing)
const document = 'docs/SENDERS.md'
const key = Buffer.from('the key of each device').toString('base64')
const wrong = () => new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')

describe('configurations of senders', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-senders-'))
  // Started by root, mosquitto becomes another user.
  const readable = mkdtempSync(join(tmpdir(), 'penstock-authority-'))
  const authorityFile = join(readable, 'ca.pem')
  const log = new CapturingLog()
  let ca: DevelopmentCa
  let edge: Edge
  let https: HttpsServer
  let broker: RunningBroker | undefined

  /** What earlier tests sent; offsets of a log only grow. */
  let earlier = 0
  const stored = () => log.envelopes().slice(earlier)
  beforeEach(() => {
    earlier = log.envelopes().length
  })

  beforeAll(async () => {
    ca = makeDevelopmentCa({ dataDir: folder, hostNames: ['localhost'], deviceIds: [], nowMs: Date.now() })
    copyFileSync(ca.caFile, authorityFile)
    chmodSync(authorityFile, 0o644)
    chmodSync(readable, 0o755)
    const tls = { certFile: ca.certFile, keyFile: ca.keyFile }
    edge = await startEdge({
      ...listeningEdgeOptions(log),
      mqtts: { port: 0, tls },
      authenticate: ({ username, password }) => {
        if (String(Buffer.from(password ?? [])) !== key) throw wrong()
        return { deviceId: username, moduleId: undefined, expiresAtMs: undefined }
      },
      authorizeRequest: (_deviceId, _moduleId, authorization, confidential) => {
        if (authorization !== key || !confidential) throw wrong()
      },
    })
    const options = { host: '127.0.0.1', port: 0, files: tls, asksForCertificates: false, connectionsMax: 100 }
    const service = httpService({ routes: (router) => edge.registerRoutes(router, true) })
    https = await openHttpsServer({ ...options, logger: silentLogger }, service)
  })
  afterEach(async () => {
    await broker?.stop()
    broker = undefined
  })
  afterAll(async () => {
    await https?.close()
    await edge?.close()
    for (const made of [folder, readable]) rmSync(made, { recursive: true, force: true })
  })

  const shell = (environment: Record<string, string>) =>
    run('sh', ['-ec', namedBlock(document, 'curl.sh')], {
      env: { ...process.env, HUB: `localhost:${https.port}`, CURL_CA_BUNDLE: ca.caFile, ...environment },
    })

  test('curl sends a point, a log record and messages', async () => {
    await shell({ DEVICE_KEY: key })
    const rows = stored().map(({ deviceId, body }) => [deviceId, JSON.parse(String(body))])
    const time = '2026-01-31T12:00:00.000Z'
    expect(rows).toEqual([
      ['press-7', { measurement: 'boiler', tags: { unit: 'a' }, fields: { temperature: 21.5, cycles: 8 }, time }],
      ['press-7', { time, severity: 'ERROR', severityNumber: 17, body: 'jam' }],
      ['press-7', { temperature: 21.5 }],
      ['press-7', { temperature: 21.7 }],
    ])
  })

  test('a client that sends its password only where it is asked for one is asked', async () => {
    const url = `https://localhost:${https.port}/devices/press-7/messages/events`
    const options = ['--fail', '--silent', '--cacert', ca.caFile]
    await run('curl', [...options, '--anyauth', '--user', `press-7:${key}`, '--data', '{}', url])
    expect(stored().map(({ deviceId, body }) => [deviceId, String(body)])).toEqual([['press-7', '{}']])
  })

  test('curl is told that its key is wrong', async () => {
    await expect(shell({ DEVICE_KEY: 'wrong' })).rejects.toMatchObject({
      code: 22,
      stdout: expect.stringContaining('not authorized'),
    })
    expect(stored()).toEqual([])
  })

  test.skipIf(mosquitto.skip)(`a bridge of mosquitto forwards what its topics say ${mosquitto.note}`, async () => {
    const settings = namedBlock(document, 'mosquitto.conf')
      .replace('hub.example:8883', `localhost:${edge.mqttsPort}`)
      .replace('/etc/ssl/certs/ca-certificates.crt', authorityFile)
      .replace('DEVICE_KEY', key)
    broker = await startMosquitto(settings.trim().split('\n'))
    const rows = () =>
      stored().map(({ deviceId, body, systemProperties }) => [deviceId, systemProperties.topic, String(body)])
    const state = '$SYS/broker/connection/gateway/state'
    // It says so anew whenever it connects again.
    await expect.poll(rows, { timeout: 30_000 }).toContainEqual(['gateway', state, '1'])
    const program = findMosquitto('mosquitto_pub') ?? ''
    await run(program, ['-p', String(broker.port), '-t', 'sensors/hall', '-q', '1', '-m', '21.5'])
    await expect.poll(rows, { timeout: 30_000 }).toContainEqual(['gateway', 'sensors/hall', '21.5'])
  })
})
