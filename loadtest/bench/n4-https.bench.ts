/**
 * N-4 over TLS, identities required: what it costs that devices may prove themselves by certificate over HTTPS
 * (`PENSTOCK_HTTPS_CLIENT_CERTIFICATES`), for devices with tokens and with certificates, on connections that are kept and on one a request.
 */

import { randomBytes, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSasToken } from '#control/auth/sas-token.ts'
import type { RunningPenstock } from '#infra/testbed/penstock.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { freePort } from '#runtime/free-ports.ts'
import { residentBytesOf } from '#runtime/processes.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'
import { autocannon, body, onGeneratorCpu } from './n4-http.bench.ts'

const targetCpu = '0'
const connections = 200
/** Connections under way at once, where each has one request. */
const shortAtOnce = 50
/** Not measured: code is compiled, files and heaps grow. */
const warmUpSeconds = 2
const deviceId = 'https-device'

const times = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 86_400_000 }
const server = makeCertificate({ commonName: 'localhost', hosts: ['localhost', '127.0.0.1'], use: 'server', ...times })
const device = makeCertificate({ commonName: deviceId, use: 'client', ...times })
const [ownerKey, deviceKey] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
const expiresAtMs = Date.now() + 3_600_000

interface Kind {
  readonly name: string
  readonly setting: 'asked' | 'ignored'
  readonly proof: 'token' | 'certificate'
  /** One request a connection; `undefined`: all. */
  readonly isShort?: boolean
}

const kinds: readonly Kind[] = [
  { name: 'ignored, token', setting: 'ignored', proof: 'token' },
  { name: 'asked, token', setting: 'asked', proof: 'token' },
  { name: 'asked, certificate', setting: 'asked', proof: 'certificate' },
  { name: 'ignored, token, a connection each', setting: 'ignored', proof: 'token', isShort: true },
  { name: 'asked, token, a connection each', setting: 'asked', proof: 'token', isShort: true },
]

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 5 })
  const record = new BenchRecord('n4-https', 'N-4 over TLS: what client certificates cost')
  const folder = mkdtempSync(join(tmpdir(), 'penstock-https-bench-'))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  writeFileSync(cert, server.certificatePem)
  writeFileSync(key, server.privateKeyPem)
  for (let round = 0; round < args.rounds; round++) {
    for (const kind of kinds) {
      const [mqtts, https] = [await freePort(), await freePort()]
      const target = await startMeasured('start', {
        cpuList: targetCpu,
        environment: {
          PENSTOCK_IDENTITIES: 'required',
          PENSTOCK_OWNER_KEY: ownerKey,
          PENSTOCK_TLS_CERT: cert,
          PENSTOCK_TLS_KEY: key,
          PENSTOCK_MQTTS_PORT: String(mqtts),
          PENSTOCK_AMQPS_PORT: '0',
          PENSTOCK_HTTPS_PORT: String(https),
          PENSTOCK_HTTPS_CLIENT_CERTIFICATES: kind.setting,
        },
      })
      try {
        await register(target, kind)
        await measure(record, target, https, kind, args.seconds)
      } finally {
        await target.stop()
      }
    }
  }
  rmSync(folder, { recursive: true, force: true })
  const ratio = (one: string, other: string): string => {
    const median = (name: string) => record.median(`${name}: requests a CPU second`)
    return (median(one) / median(other)).toFixed(2)
  }
  record.finish(
    `**A CPU second, asked against ignored: ${ratio('asked, token', 'ignored, token')} × the requests with tokens on connections that are kept, ` +
      `${ratio('asked, certificate', 'ignored, token')} × with certificates; ${ratio('asked, token, a connection each', 'ignored, token, a connection each')} × with a connection each.**`,
    `TLS 1.3, ECDSA P-256; ${connections} connections, one request under way on each, or ${shortAtOnce} at once that end with their request; 51-byte JSON; Penstock on CPU ${targetCpu}, senders on the other. CPU and memory are the edge's.`,
    args,
  )
}

async function register(target: RunningPenstock, { proof }: Kind): Promise<void> {
  const token = { scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs }
  const primaryThumbprint = new X509Certificate(device.certificatePem).fingerprint256.replaceAll(':', '')
  const authentication =
    proof === 'token'
      ? { type: 'sas', symmetricKey: { primaryKey: deviceKey, secondaryKey: deviceKey } }
      : { type: 'selfSigned', x509Thumbprint: { primaryThumbprint } }
  const response = await fetch(`${target.httpUrl}/devices/${deviceId}`, {
    method: 'PUT',
    headers: { Authorization: createSasToken(token), 'Content-Type': 'application/json' },
    body: JSON.stringify({ deviceId, authentication }),
  })
  if (!response.ok) throw new Error(`the device was not registered: ${response.status} ${await response.text()}`)
}

async function measure(
  record: BenchRecord,
  target: RunningPenstock,
  port: number,
  kind: Kind,
  seconds: number,
): Promise<void> {
  const edge = target.pidsOf('edge')[0] ?? target.pid
  const load = kind.isShort ? loadShort : loadKept
  await load(port, kind, warmUpSeconds)
  const before = target.cpuSeconds('edge')
  const { answered, failures, duration } = await load(port, kind, seconds)
  const cpuSeconds = target.cpuSeconds('edge') - before
  record.add(`${kind.name}: requests a CPU second`, answered / cpuSeconds)
  record.add(`${kind.name}: requests/s`, answered / duration)
  record.add(`${kind.name}: share of a core`, cpuSeconds / duration)
  record.add(`${kind.name}: memory, MB`, residentBytesOf(edge) / 1e6)
  if (failures > 0) record.note(`${kind.name}: ${failures} requests were not answered 2xx.`)
}

interface Outcome {
  readonly answered: number
  readonly failures: number
  /** Seconds. */
  readonly duration: number
}

const pathOfDevice = `/devices/${deviceId}/messages/events`

function headersOf({ proof }: Kind): Record<string, string> {
  const token = createSasToken({ scope: `localhost/devices/${deviceId}`, key: deviceKey, expiresAtMs })
  return proof === 'token' ? { authorization: token } : {}
}

function tlsOptionsOf({ proof }: Kind): object {
  const own = proof === 'token' ? {} : { cert: device.certificatePem, key: device.privateKeyPem }
  return { ca: server.certificatePem, ...own }
}

async function loadKept(port: number, kind: Kind, seconds: number): Promise<Outcome> {
  const result = await autocannon({
    url: `https://localhost:${port}${pathOfDevice}`,
    method: 'POST',
    headers: headersOf(kind),
    body,
    connections,
    duration: seconds,
    tlsOptions: tlsOptionsOf(kind),
  })
  return { answered: result['2xx'], failures: result.non2xx + result.errors, duration: result.duration }
}

/** With full handshakes. */
async function loadShort(port: number, kind: Kind, seconds: number): Promise<Outcome> {
  const agent = new Agent({ keepAlive: false, maxCachedSessions: 0, ...tlsOptionsOf(kind) })
  const headers = headersOf(kind)
  const startedAtMs = performance.now()
  const elapsed = (): number => (performance.now() - startedAtMs) / 1000
  let [answered, failures] = [0, 0]
  const send = (): Promise<boolean> =>
    new Promise((resolve) => {
      const asked = request(
        `https://localhost:${port}${pathOfDevice}`,
        { agent, method: 'POST', headers },
        (response) => response.resume().once('close', () => resolve(response.statusCode === 204)),
      )
      asked.on('error', () => resolve(false)).end(body)
    })
  const sendOn = async (): Promise<void> => {
    while (elapsed() < seconds) {
      if (await send()) answered++
      else failures++
    }
  }
  await Promise.all(Array.from({ length: shortAtOnce }, sendOn))
  return { answered, failures, duration: elapsed() }
}

if (import.meta.main) {
  await onGeneratorCpu()
  await bench()
}
