/**
 * N-4 over TLS, identities required: what it costs that devices may prove themselves by certificate over HTTPS
 * (`PENSTOCK_HTTPS_CLIENT_CERTIFICATES`), for devices with tokens and with certificates, on connections that are kept and on one a request.
 */
import { randomBytes, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificate } from '#control/auth/certificate-maker.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { residentBytesOf } from '../process-cpu.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { autocannon, body, onGeneratorCpu } from './n4-http.bench.ts'
import { freePort, startPenstock, type Target } from './targets.ts'

const targetCpu = '0'
const connections = 200
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
  /** Requests a connection; `undefined`: all. */
  readonly reconnectRate?: number
}

const kinds: readonly Kind[] = [
  { name: 'ignored, token', setting: 'ignored', proof: 'token' },
  { name: 'asked, token', setting: 'asked', proof: 'token' },
  { name: 'asked, certificate', setting: 'asked', proof: 'certificate' },
  { name: 'ignored, token, a connection each', setting: 'ignored', proof: 'token', reconnectRate: 1 },
  { name: 'asked, token, a connection each', setting: 'asked', proof: 'token', reconnectRate: 1 },
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
      const target = await startPenstock('start', {
        cpuList: targetCpu,
        environment: {
          PENSTOCK_IDENTITIES: 'required',
          PENSTOCK_OWNER_KEY: ownerKey,
          PENSTOCK_TLS_CERT: cert,
          PENSTOCK_TLS_KEY: key,
          PENSTOCK_MQTTS_PORT: String(mqtts),
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
    `TLS 1.3, ECDSA P-256; ${connections} connections, one request under way on each, 51-byte JSON; Penstock on CPU ${targetCpu}, autocannon on the other. CPU and memory are the edge's.`,
    args,
  )
}

async function register(target: Target, { proof }: Kind): Promise<void> {
  const token = { scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs }
  const primaryThumbprint = new X509Certificate(device.certificatePem).fingerprint256.replaceAll(':', '')
  const authentication =
    proof === 'token'
      ? { type: 'sas', symmetricKey: { primaryKey: deviceKey, secondaryKey: deviceKey } }
      : { type: 'selfSigned', x509Thumbprint: { primaryThumbprint } }
  const response = await fetch(`${new URL(target.metricsUrl).origin}/devices/${deviceId}`, {
    method: 'PUT',
    headers: { Authorization: createSasToken(token), 'Content-Type': 'application/json' },
    body: JSON.stringify({ deviceId, authentication }),
  })
  if (!response.ok) throw new Error(`the device was not registered: ${response.status} ${await response.text()}`)
}

async function measure(record: BenchRecord, target: Target, port: number, kind: Kind, seconds: number): Promise<void> {
  const edge = target.pidOf('edge')
  await load(port, kind, warmUpSeconds)
  const before = target.cpuSeconds('edge')
  const result = await load(port, kind, seconds)
  const cpuSeconds = target.cpuSeconds('edge') - before
  record.add(`${kind.name}: requests a CPU second`, result['2xx'] / cpuSeconds)
  record.add(`${kind.name}: requests/s`, result['2xx'] / result.duration)
  record.add(`${kind.name}: share of a core`, cpuSeconds / result.duration)
  record.add(`${kind.name}: latency p99, ms`, result.latency.p99)
  record.add(`${kind.name}: memory, MB`, residentBytesOf(edge) / 1e6)
  const failures = result.non2xx + result.errors
  if (failures > 0) record.note(`${kind.name}: ${failures} requests were not answered 2xx.`)
}

function load(port: number, { proof, reconnectRate }: Kind, seconds: number) {
  const token = createSasToken({ scope: `localhost/devices/${deviceId}`, key: deviceKey, expiresAtMs })
  return autocannon({
    url: `https://localhost:${port}/devices/${deviceId}/messages/events`,
    method: 'POST',
    headers: proof === 'token' ? { authorization: token } : {},
    body,
    connections,
    duration: seconds,
    ...(reconnectRate === undefined ? {} : { reconnectRate }),
    tlsOptions: {
      ca: server.certificatePem,
      ...(proof === 'token' ? {} : { cert: device.certificatePem, key: device.privateKeyPem }),
    },
  })
}

if (import.meta.main) {
  await onGeneratorCpu()
  await bench()
}
