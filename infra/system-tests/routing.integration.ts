/** Routes as people use them: `npm start`, the document over REST, endpoints that get what it says, the hub's own management client. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { IotHubClient } from '@azure/arm-iothub'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { runVerify } from '#infra/commands/verify.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import type { VerifiedEndpoint } from '#pipeline/operate/render-endpoint-verdicts.ts'
import { type IssuedCertificate, makeCertificate } from '#runtime/certificate-maker.ts'
import { freePort } from '#runtime/free-ports.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'

const secret = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
/** That takes the place of it. */
const otherSecret = `whsec_${Buffer.alloc(32, 8).toString('base64')}`
const json = { 'iothub-contenttype': 'application/json', 'iothub-contentencoding': 'utf-8' }

let dataDir: string
let filesDir: string
let penstock: RunningPenstock
let receiver: Server
let received: string[]
/** Of requests, each with its header. */
const paths = new Set<string>()
let signedByOther = false
let answer: number
let authority: IssuedCertificate
let httpsPort: number

const lasting = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 86_400_000 }

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-routing-'))
  filesDir = join(dataDir, 'files')
  mkdirSync(filesDir)
  received = []
  answer = 200
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      if (answer === 200) {
        signedByOther = isSigned(otherSecret, body, request)
        paths.add(`${request.url} ${request.headers['x-key']}`)
        if (!signedByOther) new Webhook(secret).verify(body, request.headers as Record<string, string>)
        received.push(...JSON.parse(body).map((message: { body: unknown }) => JSON.stringify(message.body)))
      }
      response.writeHead(answer).end()
    })
  }).listen(0, '127.0.0.1')
  authority = makeCertificate({ commonName: 'authority', authority: true, ...lasting })
  const server = makeCertificate({
    commonName: 'server',
    hosts: ['localhost'],
    use: 'server',
    issuer: authority,
    ...lasting,
  })
  writeFileSync(join(dataDir, 'cert.pem'), server.certificatePem)
  writeFileSync(join(dataDir, 'key.pem'), server.privateKeyPem)
  httpsPort = await freePort()
  penstock = await startPenstock(join(dataDir, 'data'), {
    PENSTOCK_TLS_CERT: join(dataDir, 'cert.pem'),
    PENSTOCK_TLS_KEY: join(dataDir, 'key.pem'),
    PENSTOCK_HTTPS_PORT: String(httpsPort),
    PENSTOCK_MQTTS_PORT: '0',
    PENSTOCK_AMQPS_PORT: '0',
    PENSTOCK_ENDPOINTS_FOLDERS: filesDir,
    PENSTOCK_TWIN_EVENTS: 'always',
  })
})

afterAll(async () => {
  await penstock?.stop()
  receiver.closeAllConnections()
  receiver.close()
  rmSync(dataDir, { recursive: true, force: true })
})

function isSigned(by: string, body: string, { headers }: IncomingMessage): boolean {
  try {
    new Webhook(by).verify(body, headers as Record<string, string>)
    return true
  } catch {
    return false
  }
}

const hookUrl = (): string => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/in`

function token(): string {
  const key = readOwnerKey(join(dataDir, 'data')) ?? ''
  return createSasToken({ scope: 'localhost', key, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 })
}

/** What the answers of these tests hold. */
interface Shown {
  readonly problems: readonly { readonly path: string }[]
  readonly endpoints: readonly { readonly name: string; readonly routers: number }[]
  readonly partitions: readonly { readonly revisionFrom: number }[]
  readonly healthStatus: string
}

async function call(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${penstock.httpUrl}${path}`, {
    method,
    headers: { Authorization: token(), 'Content-Type': 'application/json', ...headers },
    body: body === undefined ? null : JSON.stringify(body),
  })
  return {
    status: response.status,
    etag: response.headers.get('etag') ?? '',
    document: (await response.json()) as Shown,
  }
}

const put = (document: object, ifMatch = '*') => call('PUT', '/routing', document, { 'If-Match': ifMatch })

async function send(body: string, properties: Record<string, string> = {}): Promise<void> {
  const named = Object.fromEntries(Object.entries(properties).map(([name, value]) => [`iothub-app-${name}`, value]))
  const response = await fetch(`${penstock.httpUrl}/devices/d1/messages/events?api-version=2021-04-12`, {
    method: 'POST',
    headers: { ...json, ...named },
    body,
  })
  expect(response.status).toBe(204)
}

/** What lies in files, sorted. */
function filed(): string[] {
  return readdirSync(filesDir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => readFileSync(join(filesDir, name), 'utf8').trimEnd().split('\n'))
    .map((line) => JSON.stringify(JSON.parse(line).Body))
    .sort()
}

async function rows(query: string): Promise<string> {
  const response = await fetch(`${penstock.clickhouseUrl}/?query=${encodeURIComponent(query)}`)
  return (await response.text()).trim()
}

/** What an operator's command line says. */
async function command(...args: readonly string[]): Promise<string> {
  const env = {
    ...process.env,
    PENSTOCK_DATA_DIR: join(dataDir, 'data'),
    PENSTOCK_HTTP_PORT: new URL(penstock.httpUrl).port,
    PENSTOCK_CLICKHOUSE_PORT: new URL(penstock.clickhouseUrl).port,
  }
  const script = join(import.meta.dirname, '../penstock.js')
  return (await promisify(execFile)(process.execPath, [script, ...args], { env })).stdout
}

const patient = { timeout: 60_000 }

const shownNowhere = { urlRest: '?code=hunter2', headers: { 'X-Key': 'hunter3' } }
const hook = () => ({ name: 'hook', kind: 'webhook', url: hookUrl(), secret, delayMs: 1, ...shownNowhere })
const document = (condition: string) => ({
  routes: [{ name: 'warm', condition, endpointNames: ['hook', 'table'] }],
  fallbackRoute: { endpointNames: ['cold'] },
  endpoints: [
    hook(),
    { name: 'cold', kind: 'file', folder: filesDir, rollSeconds: 1 },
    {
      name: 'table',
      kind: 'clickhouse',
      database: 'own',
      table: 'warm',
      columns: [{ name: 't', type: 'Float64', expression: "JSONExtractFloat(body, 't')" }],
    },
  ],
})

describe('routes', () => {
  test('nothing is routed at first, and no router runs', { timeout: 60_000 }, async () => {
    // The first request of all starts the registry, which makes the owner's key.
    await expect.poll(async () => (await call('GET', '/routing')).status, patient).toBe(200)
    expect(await call('GET', '/routing')).toMatchObject({ etag: '"0"', document: { routes: [], endpoints: [] } })
  })

  test('a document with faults is refused with all of them, and changes nothing', async () => {
    const faulty = {
      routes: [{ name: 'r', condition: 'level >', endpointNames: ['nowhere'] }],
      endpoints: [{ kind: 'webhook', name: 'x', url: 'http://169.254.169.254/' }],
    }
    const refused = await put(faulty)
    expect(refused.status).toBe(400)
    expect(refused.document.problems.map(({ path }) => path).sort()).toEqual([
      'routes[0].condition',
      'routes[0].endpointNames[0]',
    ])
    const address = await put({ endpoints: faulty.endpoints })
    expect(address.document.problems).toMatchObject([{ path: 'endpoints[0].url' }])
    const folder = await put({ endpoints: [{ name: 'cold', kind: 'file', folder: `${filesDir}/../other` }] })
    expect(folder.document.problems).toMatchObject([{ path: 'endpoints[0].folder' }])
    const column = {
      name: 't',
      kind: 'clickhouse',
      table: 'x',
      columns: [{ name: 'a', type: 'Int64', expression: 'nonsense(body)' }],
    }
    expect((await put({ endpoints: [column] })).document.problems).toMatchObject([
      { path: 'endpoints[0].columns[0].expression' },
    ])
    expect((await put({ endpoints: [{ name: 't', kind: 'clickhouse', table: 'telemetry' }] })).status).toBe(400)
    expect((await call('GET', '/routing')).etag).toBe('"0"')
  })

  test('messages reach the endpoints of their routes, others the fallback, and penstock.telemetry has all [G-10]', {
    timeout: 120_000,
  }, async () => {
    expect((await put(document('$body.t > 30'))).status).toBe(200)
    await expect
      .poll(
        async () => (await call('GET', '/routing/endpoints')).document.endpoints.map(({ routers }) => routers),
        patient,
      )
      .toEqual([1, 1, 1])
    for (const t of [10, 40, 20, 50]) await send(`{"t":${t}}`)
    await expect.poll(() => received, patient).toEqual(['{"t":40}', '{"t":50}'])
    await expect.poll(filed, patient).toEqual(['{"t":10}', '{"t":20}'])
    await expect
      .poll(() => rows('SELECT groupArray(t) FROM (SELECT t FROM own.warm ORDER BY t)'), patient)
      .toBe('[40,50]')
    await expect.poll(() => rows('SELECT count() FROM penstock.telemetry'), patient).toBe('4')
  })

  test("a header's value, and what comes behind a webhook's address, are sent to it, and neither shown nor kept in the clear", async () => {
    expect([...paths]).toEqual(['/in?code=hunter2 hunter3'])
    const { document: shown } = await call('GET', '/routing')
    expect(shown.endpoints[0]).toMatchObject({ urlRest: { isSet: true }, headers: { 'X-Key': { isSet: true } } })
    const told = [JSON.stringify(shown), readFileSync(join(dataDir, 'data/routing/document.json'), 'utf8')]
    expect([...told, penstock.output(), await command('routes', 'show')].join('\n')).not.toMatch(/hunter\d/)
  })

  test('penstock verify says of each endpoint what it holds, and of a webhook that it cannot be asked', {
    timeout: 60_000,
  }, async () => {
    const settings = settingsFromEnvironment({
      PENSTOCK_DATA_DIR: join(dataDir, 'data'),
      PENSTOCK_CLICKHOUSE_URL: penstock.clickhouseUrl,
      PENSTOCK_LOG_LEVEL: 'error',
    })
    const written: string[] = []
    const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0)
    const verified = async () => {
      expect(await runVerify(settings, ['--endpoints', '--json'])).toBe(0)
      const { endpoints } = JSON.parse(written.splice(0).join('')) as { endpoints: VerifiedEndpoint[] }
      return endpoints.map(({ name, cannotBeAsked, verdicts }) => ({
        name,
        isAsked: cannotBeAsked === undefined,
        selected: verdicts.reduce((sum, { selected }) => sum + selected, 0),
        otherwise: verdicts.reduce((sum, { missing, surplus, differing }) => sum + missing + surplus + differing, 0),
      }))
    }
    try {
      await expect.poll(verified, patient).toEqual([
        { name: 'hook', isAsked: false, selected: 0, otherwise: 0 },
        { name: 'cold', isAsked: true, selected: 2, otherwise: 0 },
        { name: 'table', isAsked: true, selected: 2, otherwise: 0 },
      ])
      await expect(runVerify(settings, ['--endpoint', 'nobody'])).rejects.toMatchObject({
        code: 'CONTROL_COMMAND_INVALID',
      })
      expect(await runVerify(settings, ['--endpoint', 'table'])).toBe(0)
      expect(written.join('')).toContain('endpoint table (clickhouse) holds what the routes select; 0 batches wait')
    } finally {
      spy.mockRestore()
    }
  })

  test('other routes take effect without a restart; a secret that is left out stays', { timeout: 60_000 }, async () => {
    const { etag, document: shown } = await call('GET', '/routing')
    expect(JSON.stringify(shown)).not.toContain(secret)
    const changed = { ...shown, routes: [{ name: 'warm', condition: "level = 'high'", endpointNames: ['hook'] }] }
    expect((await put(changed, '"0"')).status).toBe(412)
    const applied = await put(changed, etag)
    expect(applied.status).toBe(200)
    const inForce = async () => (await call('GET', '/routing/endpoints/hook')).document.partitions[0]?.revisionFrom
    await expect.poll(inForce, patient).toBe(Number(applied.etag.replaceAll('"', '')))
    await send('{"t":60}')
    await send('{"t":1}', { level: 'high' })
    await expect.poll(() => received.at(-1), patient).toBe('{"t":1}')
    expect(received).not.toContain('{"t":60}')
  })

  test('a secret of an endpoint is another one without a restart', { timeout: 60_000 }, async () => {
    const { etag, document: shown } = await call('GET', '/routing')
    const endpoints = shown.endpoints.map((endpoint) =>
      endpoint.name === 'hook' ? { ...endpoint, secret: otherSecret } : endpoint,
    )
    expect((await put({ ...shown, endpoints }, etag)).status).toBe(200)
    await expect
      .poll(async () => {
        await send('{"t":61}', { level: 'high' })
        return signedByOther
      }, patient)
      .toBe(true)
  })

  test('an endpoint that is down costs no other anything, and gets all once it is back', {
    timeout: 90_000,
  }, async () => {
    answer = 503
    await send('{"t":2}', { level: 'high' })
    await send('{"t":70}')
    await expect.poll(filed, patient).toContain('{"t":70}')
    const health = async () => (await call('GET', '/routing/endpoints/hook')).document.healthStatus
    await expect.poll(health, patient).toMatch(/degraded|unhealthy/)
    answer = 200
    await expect.poll(() => received.at(-1), patient).toBe('{"t":2}')
    await expect.poll(health, patient).toBe('healthy')
  })

  test("the hub's management client tests routes and reads health, unchanged", async () => {
    const credential = { getToken: async () => ({ token: token(), expiresOnTimestamp: Date.now() + 600_000 }) }
    const endpoint = `https://localhost:${httpsPort}`
    const options = { $host: endpoint, endpoint, tlsOptions: { ca: authority.certificatePem } }
    const { iotHubResource } = new IotHubClient(credential, 'any', options)
    const message = { body: '{"t":1}', appProperties: { level: 'high' }, systemProperties: {} }
    const all = await iotHubResource.testAllRoutes('hub', 'group', { routingSource: 'DeviceMessages', message })
    expect(all.routes?.map(({ properties }) => properties?.name)).toEqual(['warm'])
    const other = await iotHubResource.testAllRoutes('hub', 'group', {
      routingSource: 'DeviceMessages',
      message: { body: 'x' },
    })
    expect(other.routes?.map(({ properties }) => properties?.name)).toEqual(['$fallback'])
    const route = { name: 'new', source: 'DeviceMessages', endpointNames: ['hook'], isEnabled: true }
    const fits = await iotHubResource.testRoute('hub', 'group', {
      message,
      route: { ...route, condition: "level = 'high'" },
    })
    expect(fits.result).toBe('true')
    const broken = await iotHubResource.testRoute('hub', 'group', {
      message,
      route: { ...route, condition: "level = 'high' AND" },
    })
    expect(broken.details?.compilationErrors?.[0]).toMatchObject({
      severity: 'error',
      location: { start: { line: 1 } },
    })
    const health: (string | undefined)[] = []
    for await (const { endpointId } of iotHubResource.listEndpointHealth('group', 'hub')) health.push(endpointId)
    expect(health.sort()).toEqual(['cold', 'hook', 'table'])
  })

  test('what an endpoint refused is replayed to it alone, once it takes it', { timeout: 90_000 }, async () => {
    answer = 400
    await send('{"t":3}', { level: 'high' })
    const waiting = () => command('dead-letters', 'list', '--endpoint', 'hook')
    await expect.poll(waiting, patient).toContain('1 open')
    expect(await command('dead-letters', 'replay', '--endpoint', 'hook', '--dry-run')).toContain('ENDPOINT_REFUSED')
    answer = 200
    const rowsBefore = await rows('SELECT count() FROM penstock.telemetry')
    expect(await command('dead-letters', 'replay', '--endpoint', 'hook')).toMatch(
      /^replayed 0:\d+ to hook, 1 messages$/m,
    )
    expect(received.at(-1)).toBe('{"t":3}')
    expect(await waiting()).toBe('no open dead letters; 1 replayed, 0 dropped\n')
    expect(await command('dead-letters', 'replay', '--endpoint', 'hook')).toBe('no dead letter waits\n')
    expect(await rows('SELECT count() FROM penstock.telemetry')).toBe(rowsBefore)
  })

  test('the log is replayed into a table, though the router is killed meanwhile: each message once, beside what it has [G-10]', {
    timeout: 120_000,
  }, async () => {
    const { etag, document: shown } = await call('GET', '/routing')
    const all = { ...shown, routes: [{ name: 'all', endpointNames: ['table'] }] }
    expect((await put(all, etag)).status).toBe(200)
    const before = Number(await rows('SELECT count() FROM own.warm'))
    const sent = Number(await rows('SELECT count() FROM penstock.telemetry'))
    const slow = await command('routes', 'replay', 'table', '--from', 'oldest', '--rate', '1', '--detach')
    const [, id = ''] = /^replay (\w+) begins/.exec(slow) ?? []
    const replayed = () => rows(`SELECT count() FROM own.warm WHERE log_endpoint = 'penstock.replay.${id}'`)
    await expect.poll(replayed, patient).not.toBe('0')
    const router = penstock.pidsOf('router')
    for (const pid of router) process.kill(pid, 'SIGKILL')
    await expect.poll(() => command('routes', 'replays'), patient).toMatch(/\tdone at /)
    expect(await replayed()).toBe(String(sent))
    expect(await rows('SELECT count() FROM own.warm')).toBe(String(before + sent))
    const endless = await command('routes', 'replay', 'table', '--where', '$body.t > 0', '--rate', '1', '--detach')
    const [, other = ''] = /^replay (\w+) begins/.exec(endless) ?? []
    expect(await command('routes', 'replay', '--cancel', other)).toContain('cancelled')
    expect(await command('routes', 'replays')).toContain('cancelled at')
  })

  test('a route reads the twin of the sender, and takes changes of twins, as soon as they are made', {
    timeout: 120_000,
  }, async () => {
    expect((await call('PUT', '/devices/d1', { deviceId: 'd1' })).status).toBe(200)
    const ofTags = { source: 'TwinChangeEvents', condition: 'twin_change_includes(tags.hall)', endpointNames: ['hook'] }
    const routes = [
      { name: 'hall', condition: "$twin.tags.hall = 'a'", endpointNames: ['hook'] },
      { name: 'changes', ...ofTags },
      { name: 'marked', condition: "mark = '1'", endpointNames: ['hook'] },
    ]
    const applied = await put({ routes, endpoints: [hook()] })
    expect(applied.status).toBe(200)
    // On all logs: what came before is decided by the routes of before.
    const inForce = async () =>
      new Set(
        (await call('GET', '/routing/endpoints/hook')).document.partitions.map(({ revisionFrom }) => revisionFrom),
      )
    await expect.poll(inForce, patient).toEqual(new Set([Number(applied.etag.replaceAll('"', ''))]))
    received = []
    const asked = { message: {}, twin: { tags: { Hall: 'a' } } }
    expect((await call('POST', '/routing/test', asked)).document).toMatchObject({ routes: [{ name: 'hall' }] })
    const hub = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/h/routing/routes'
    const ofHub = { ...asked, routingSource: 'DeviceMessages' }
    expect((await call('POST', `${hub}/$testall`, ofHub)).document).toMatchObject({
      routes: [{ properties: { name: 'hall' } }],
    })
    const route = { ...routes[0], source: 'DeviceMessages' }
    expect((await call('POST', `${hub}/$testnew`, { ...asked, route })).document).toMatchObject({ result: 'true' })
    expect((await call('POST', `${hub}/$testnew`, { message: {}, route })).document).toMatchObject({ result: 'false' })
    const tagged = (hall: string) => call('PATCH', '/twins/d1', { tags: { hall } })
    expect((await tagged('b')).status).toBe(200)
    await expect.poll(() => received, patient).toEqual(['{"version":3,"tags":{"hall":"b"}}'])
    await send('{"t":-1}')
    await send('{"t":0}', { mark: '1' })
    // What came before it was looked at by then.
    await expect.poll(() => received, patient).toContain('{"t":0}')
    expect((await tagged('a')).status).toBe(200)
    const sentAndReceived = async (): Promise<boolean> => {
      await send('{"t":1}')
      return received.includes('{"t":1}')
    }
    await expect.poll(sentAndReceived, patient).toBe(true)
    await expect.poll(() => received, patient).toContain('{"version":4,"tags":{"hall":"a"}}')
    expect(received).not.toContain('{"t":-1}')
    const told =
      "SELECT op_type, version, JSONExtractString(body, 'tags', 'hall') FROM penstock.twin_events ORDER BY version FORMAT TSV"
    await expect.poll(() => rows(told), patient).toBe('updateTwin\t3\tb\nupdateTwin\t4\ta')
  })
})
