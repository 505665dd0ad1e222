/** The control role alone, as `npx penstock control` runs it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'

const script = fileURLToPath(new URL('../penstock.ts', import.meta.url))
const failuresMax = 3
let dataDir = ''
let ca = ''
beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-control-role-'))
  const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
  const made = makeCertificate({ commonName: 'localhost', hosts: ['localhost', '127.0.0.1'], use: 'server', ...times })
  ca = made.certificatePem
  writeFileSync(join(dataDir, 'server.pem'), made.certificatePem)
  writeFileSync(join(dataDir, 'server.key'), made.privateKeyPem, { mode: 0o600 })
})
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const runControl = (environment: Record<string, string>) => runRole(['control'], environment)

function runRole(args: readonly string[], environment: Record<string, string>) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PENSTOCK_'))
  const settings = {
    PENSTOCK_DATA_DIR: join(dataDir, 'data'),
    PENSTOCK_HTTP_PORT: '0',
    PENSTOCK_HTTPS_PORT: '0',
    PENSTOCK_EVENTS: 'never',
    PENSTOCK_DEVICE_FAILURES_PER_MINUTE: String(failuresMax),
  }
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...Object.fromEntries(inherited), ...settings, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const run = { child, output: '' }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (run.output += bytes))
  return run
}

function ask(port: number, authorization: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(
      `https://localhost:${port}/devices`,
      { ca, headers: { Authorization: authorization } },
      (response) => {
        response.resume()
        resolve(response.statusCode)
      },
    )
    asked.on('error', reject)
    asked.end()
  })
}

test('the control role alone speaks TLS, and slows who fails too often but not the owner', {
  timeout: 60_000,
}, async () => {
  const run = runControl({
    PENSTOCK_TLS_CERT: join(dataDir, 'server.pem'),
    PENSTOCK_TLS_KEY: join(dataDir, 'server.key'),
  })
  const portOf = () => Number(/serving the registry .*https=(\d+)/.exec(run.output)?.[1] ?? 0)
  await expect.poll(portOf, { timeout: 40_000 }).toBeGreaterThan(0)
  const key = readOwnerKey(join(dataDir, 'data')) ?? ''
  const token = (policyName: string) =>
    createSasToken({ scope: 'localhost', key, policyName, expiresAtMs: Date.now() + 60_000 })
  expect(await ask(portOf(), token('iothubowner'))).toBe(200)
  for (let failures = 0; failures < failuresMax; failures++) expect(await ask(portOf(), token('service'))).toBe(401)
  expect(await ask(portOf(), token('service'))).toBe(429)
  expect(await ask(portOf(), token('iothubowner'))).toBe(200)
})

test('edges and commands of other machines reach the control role over TLS, whose authority they are told', {
  timeout: 120_000,
}, async () => {
  const control = runControl({
    PENSTOCK_DATA_DIR: join(dataDir, 'far'),
    PENSTOCK_TLS_CERT: join(dataDir, 'server.pem'),
    PENSTOCK_TLS_KEY: join(dataDir, 'server.key'),
  })
  const controlPort = () => Number(/serving the registry .*https=(\d+)/.exec(control.output)?.[1] ?? 0)
  await expect.poll(controlPort, { timeout: 40_000 }).toBeGreaterThan(0)
  const key = readOwnerKey(join(dataDir, 'far')) ?? ''
  const elsewhere = {
    PENSTOCK_DATA_DIR: join(dataDir, 'here'),
    PENSTOCK_CONTROL_URL: `https://localhost:${controlPort()}`,
    PENSTOCK_OWNER_KEY: key,
  }
  const authority = { PENSTOCK_CONTROL_CA: join(dataDir, 'server.pem') }
  const command = async (environment: Record<string, string>) => {
    const run = runRole(['devices', 'list'], { ...elsewhere, ...environment })
    const [code] = await once(run.child, 'close')
    return { code, output: run.output }
  }
  expect(await command(authority)).toMatchObject({ code: 0, output: expect.stringContaining('first-device') })
  expect(await command({})).toMatchObject({ code: 1, output: expect.stringContaining('certificate') })
  expect(await command({ PENSTOCK_CONTROL_CA: join(dataDir, 'server.key') })).toMatchObject({
    code: 3,
    output: expect.stringContaining('PENSTOCK_CONTROL_CA'),
  })

  const edge = runRole(['edge', '--index=0'], { ...elsewhere, ...authority, PENSTOCK_MQTT_PORT: '0' })
  const edgePort = () => Number(/listening .*http=(\d+)/.exec(edge.output)?.[1] ?? 0)
  await expect.poll(edgePort, { timeout: 40_000 }).toBeGreaterThan(0)
  const token = createSasToken({
    scope: 'localhost',
    key,
    policyName: 'iothubowner',
    expiresAtMs: Date.now() + 60_000,
  })
  const passed = await fetch(`http://127.0.0.1:${edgePort()}/devices`, { headers: { Authorization: token } })
  expect(passed.status).toBe(200)
  expect(JSON.stringify(await passed.json())).toContain('first-device')
})

test('the control role does not listen beyond loopback without TLS, and says why', { timeout: 60_000 }, async () => {
  const run = runControl({ PENSTOCK_BIND: '0.0.0.0' })
  expect(await once(run.child, 'close')).toEqual([3, null])
  expect(run.output).toMatch(/PENSTOCK_BIND=0\.0\.0\.0: .*PENSTOCK_TLS_CERT/)
})
