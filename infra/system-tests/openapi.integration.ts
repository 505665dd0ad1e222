import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatConnectionString } from '#control/auth/connection-string.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { derivedKey } from '#control/provisioning/derived-key.ts'
import { ApiAnswers } from '#infra/testbed/api-answers.ts'
import { RunningPenstock } from '#infra/testbed/penstock.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { callDigitalTwin, callForSenders, callModels, callTransfers } from './openapi-calls-fixture.ts'

const ownerKey = randomBytes(32).toString('base64')
const deviceKey = randomBytes(32).toString('base64')
const document = JSON.parse(readFileSync(join(import.meta.dirname, '../../docs/openapi.json'), 'utf8')) as unknown
const answers = new ApiAnswers(document)

const folder = mkdtempSync(join(tmpdir(), 'penstock-openapi-'))
let penstock: RunningPenstock
const expiresAtMs = Date.now() + 600_000
const owner = createSasToken({ scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs })
const device = createSasToken({ scope: 'localhost/devices/d1', key: deviceKey, expiresAtMs })
const module = createSasToken({ scope: 'localhost/devices/d1/modules/m', key: deviceKey, expiresAtMs })

beforeAll(async () => {
  const settings = {
    ...{ PENSTOCK_IDENTITIES: 'required', PENSTOCK_OWNER_KEY: ownerKey, PENSTOCK_EVENTS: 'always' },
    PENSTOCK_UPLOADS: folder,
  }
  penstock = await RunningPenstock.start({ settings })
})

afterAll(async () => {
  await penstock?.stop()
  rmSync(folder, { recursive: true, force: true })
})

interface Call {
  readonly body?: unknown
  readonly headers?: Record<string, string>
  readonly token?: string
}

/** Asks, judges the answer, and gives it. */
async function call(method: string, target: string, { body, headers = {}, token = owner }: Call = {}) {
  const content = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body)
  const response = await fetch(`${penstock.httpUrl}${target}`, {
    method,
    headers: { ...(token !== '' && { authorization: token }), ...headers },
    body: content,
  })
  const answer = {
    status: response.status,
    contentType: response.headers.get('content-type') ?? undefined,
    text: await response.text(),
  }
  const [path = ''] = target.split('?')
  const faults = [...answers.faultsOf(method, path, body, answer)]
  // Else a browser may show what was there before, as it does of what has a Last-Modified.
  const mayBeKept = answer.contentType?.startsWith('application/json') || response.headers.has('last-modified')
  if (method === 'GET' && mayBeKept && response.headers.get('cache-control') !== 'no-store')
    faults.push('it may be kept')
  return { ...answer, faults, etag: response.headers.get('etag') ?? '' }
}

/** The same, where only a right answer with this status will do. */
async function rightly(status: number, method: string, target: string, options: Call = {}) {
  const answer = await call(method, target, options)
  expect([answer.status, answer.faults, answer.status === status ? '' : answer.text], `${method} ${target}`).toEqual([
    status,
    [],
    '',
  ])
  return answer
}

const any = { 'if-match': '*' }
const symmetricKey = { primaryKey: deviceKey, secondaryKey: deviceKey }
const hub = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/localhost'
const message = { body: '{"a":1}', appProperties: {}, systemProperties: {} }

async function registry(): Promise<void> {
  const authentication = { type: 'sas', symmetricKey }
  await rightly(200, 'PUT', '/devices/d1', { body: { deviceId: 'd1', authentication } })
  await rightly(409, 'PUT', '/devices/d1', { body: { deviceId: 'd1' } })
  await rightly(200, 'GET', '/devices/d1')
  await rightly(404, 'GET', '/devices/nobody')
  await rightly(401, 'GET', '/devices/d1', { token: '' })
  await rightly(200, 'PUT', '/devices/d1/modules/m', { body: { deviceId: 'd1', moduleId: 'm', authentication } })
  await rightly(200, 'GET', '/devices/d1/modules/m')
  for (const slash of ['', '/']) {
    await rightly(200, 'GET', `/devices/d1/modules${slash}`)
    await rightly(200, 'GET', `/devices${slash}?top=1`)
    await rightly(200, 'POST', `/devices${slash}`, { body: [{ id: `bulk${slash.length}`, importMode: 'create' }] })
    await rightly(400, 'POST', `/devices${slash}`, { body: [{ id: 'd1', importMode: 'create' }] })
  }
  await rightly(400, 'PUT', '/devices/d2', { body: 'no JSON' })
  await rightly(200, 'GET', '/statistics/devices')
  await rightly(200, 'GET', '/statistics/service')
  for (const twin of ['/twins/d1', '/twins/d1/modules/m']) {
    await rightly(200, 'GET', twin)
    await rightly(200, 'PATCH', twin, { body: { tags: { hall: 'a' }, properties: { desired: { on: true } } } })
    await rightly(200, 'PUT', twin, { body: { tags: { hall: 'b' } } })
    await rightly(412, 'PATCH', twin, { body: { tags: {} }, headers: { 'if-match': '"AAAA"' } })
    await rightly(404, 'POST', `${twin}/methods`, { body: { methodName: 'reboot' } })
  }
  await rightly(200, 'POST', '/devices/query', { body: { query: 'SELECT * FROM devices' } })
  await rightly(200, 'POST', '/devices/query', { body: { query: 'SELECT deviceId FROM devices' } })
  await rightly(400, 'POST', '/devices/query', { body: { query: 'DROP TABLE devices' } })
  await rightly(200, 'PUT', '/api/quotas/d1', { body: { messagesPerSecond: 5_000 } })
  await rightly(200, 'GET', '/api/quotas')
  await rightly(200, 'GET', '/api/quotas/d1')
  await rightly(204, 'DELETE', '/api/quotas/d1')
  await rightly(404, 'GET', '/api/quotas/d1')
}

async function trust(): Promise<void> {
  await rightly(200, 'GET', '/policies')
  await rightly(200, 'GET', '/policies/service')
  await rightly(200, 'POST', '/policies/service/rekey', { body: { key: 'primary' } })
  await rightly(404, 'GET', '/policies/nobody')
  const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
  const authority = makeCertificate({ commonName: 'ours', authority: true, ...times })
  const at = '/certificateAuthorities/ours'
  const put = await rightly(200, 'PUT', at, { body: { certificate: authority.certificatePem } })
  const { verificationCode } = JSON.parse(put.text) as { verificationCode: string }
  const proof = makeCertificate({ commonName: verificationCode, issuer: authority, ...times })
  await rightly(200, 'POST', `${at}/verify`, { body: { certificate: proof.certificatePem } })
  await rightly(200, 'GET', at)
  await rightly(200, 'GET', '/certificateAuthorities')
  await rightly(204, 'DELETE', at)
  await rightly(404, 'DELETE', at)
  await rightly(200, 'GET', '/audit?top=5')
  await rightly(400, 'GET', '/audit?kind=all')
}

async function routes(): Promise<void> {
  const routing = {
    routes: [{ name: 'all', source: 'DeviceMessages', condition: 'true', endpointNames: ['hook'], isEnabled: true }],
    enrichments: [{ key: 'hub', value: '$iothubname', endpointNames: ['hook'] }],
    endpoints: [{ name: 'hook', kind: 'webhook', url: 'http://127.0.0.1:9/', isEnabled: false }],
  }
  const bad = { routes: [{ name: 'bad', source: 'DeviceMessages', condition: 'a =', endpointNames: ['x'] }] }
  await rightly(200, 'PUT', '/routing?validate', { body: routing })
  await rightly(200, 'PUT', '/routing?validate', { body: bad })
  await rightly(400, 'PUT', '/routing', { body: bad, headers: any })
  await rightly(200, 'PUT', '/routing', { body: routing, headers: any })
  await rightly(412, 'PUT', '/routing', { body: routing, headers: { 'if-match': '"0"' } })
  await rightly(200, 'GET', '/routing')
  await rightly(200, 'POST', '/routing/test', { body: { message } })
  await rightly(200, 'POST', '/routing/test', { body: { message, route: { condition: '$body.a = 1' } } })
  await rightly(200, 'POST', '/routing/test', { body: { message, route: { condition: 'a =' } } })
  await rightly(200, 'GET', '/routing/endpoints')
  await rightly(200, 'GET', '/routing/endpoints/hook')
  await rightly(404, 'GET', '/routing/endpoints/nobody')
  const begun = await rightly(201, 'POST', '/routing/replays', { body: { endpoint: 'hook', from: 'oldest' } })
  await rightly(200, 'GET', '/routing/replays')
  await rightly(204, 'DELETE', `/routing/replays/${(JSON.parse(begun.text) as { id: string }).id}`)
  await rightly(404, 'DELETE', '/routing/replays/none')
  await rightly(200, 'POST', `${hub}/routing/routes/$testall`, { body: { routingSource: 'DeviceMessages', message } })
  await rightly(200, 'POST', `${hub}/routing/routes/$testnew`, { body: { message, route: { condition: 'true' } } })
  await rightly(200, 'GET', `${hub}/routingEndpointsHealth`)
}

async function devices(): Promise<void> {
  await rightly(204, 'POST', '/devices/d1/messages/events', { body: '{"v":1}', token: device })
  await rightly(401, 'POST', '/devices/d1/messages/events', { body: '{"v":1}', token: 'wrong' })
  await rightly(204, 'POST', '/devices/d1/modules/m/messages/events', { body: '{"v":1}', token: module })
  for (const [at, token] of [
    ['/devices/d1', device],
    ['/devices/d1/modules/m', module],
  ] as const)
    for (const bound of ['deviceBound', 'devicebound']) {
      const box = `${at}/messages/${bound}`
      const lockOf = async () => (await rightly(200, 'GET', box, { token })).etag.replaceAll('"', '')
      const to = { 'iothub-to': `${at}/messages/devicebound`, 'iothub-ack': 'full', 'iothub-messageid': 'm1' }
      await rightly(204, 'POST', box, { body: 'on', headers: { 'iothub-ack': 'full', 'iothub-app-a': 'b' } })
      await rightly(204, 'POST', `${box}/${await lockOf()}/abandon`, { token })
      await rightly(204, 'DELETE', `${box}/${await lockOf()}`, { token })
      await rightly(204, 'GET', box, { token })
      await rightly(412, 'DELETE', `${box}/gone`, { token })
      await rightly(204, 'POST', `/messages/${bound}`, { body: 'off', headers: to })
      await rightly(204, 'DELETE', `${box}/${await lockOf()}?reject`, { token })
      await rightly(204, 'POST', `/messages/${bound}`, { body: 'off', headers: to })
      await rightly(200, 'DELETE', `${at}/commands`)
    }
}

/** A device that is there: it announces its model, and answers. */
async function connected(): Promise<void> {
  const username = 'localhost/d1/?api-version=2021-04-12&model-id=dtmi%3Atest%3APump%3B2'
  const client = await mqtt.connectAsync(penstock.mqttUrl, { clientId: 'd1', username, password: device })
  try {
    client.on('message', (topic) => {
      const [, rid] = /\$rid=(.+)$/.exec(topic) ?? []
      client.publish(`$iothub/methods/res/200/?$rid=${rid}`, '{"on":true}')
    })
    await client.subscribeAsync('$iothub/methods/POST/#')
    await rightly(200, 'POST', '/twins/d1/methods', { body: { methodName: 'reboot', connectTimeoutInSeconds: 10 } })
    const modelled = { body: { query: "SELECT deviceId FROM devices WHERE modelId = 'dtmi:test:Pump;2'" } }
    while ((await rightly(200, 'POST', '/devices/query', modelled)).text !== '[{"deviceId":"d1"}]');
    expect((await rightly(200, 'GET', '/twins/d1')).text).toContain('"modelId":"dtmi:test:Pump;2"')
    await callDigitalTwin(rightly)
  } finally {
    await client.endAsync(true)
  }
}

async function feedback(): Promise<void> {
  for (const bound of ['serviceBound', 'servicebound']) {
    const box = `/messages/${bound}/feedback`
    const given = await rightly(200, 'GET', box)
    await rightly(204, 'POST', `${box}/${given.etag.replaceAll('"', '')}/abandon`)
    const again = await rightly(200, 'GET', box)
    await rightly(204, 'DELETE', `${box}/${again.etag.replaceAll('"', '')}`)
    await rightly(412, 'DELETE', `${box}/gone`)
    // For the other spelling there is more.
    await rightly(204, 'POST', '/devices/d1/messages/deviceBound', { body: 'x', headers: { 'iothub-ack': 'full' } })
    await rightly(200, 'DELETE', '/devices/d1/commands')
  }
  await rightly(204, 'POST', '/api/commands', { body: { to: '/devices/d1/messages/devicebound', body: 'b24=' } })
  const list = await rightly(200, 'GET', '/api/commands/dead?device=d1')
  const [first, second] = JSON.parse(list.text) as { id: number }[]
  await rightly(200, 'GET', `/api/commands/dead/${first?.id}`)
  await rightly(204, 'POST', `/api/commands/dead/${first?.id}/resend`)
  await rightly(204, 'DELETE', `/api/commands/dead/${second?.id}`)
  await rightly(404, 'GET', '/api/commands/dead/999999')
  await rightly(200, 'DELETE', '/api/commands/dead?device=d1')
}

async function many(): Promise<void> {
  const content = { deviceContent: { 'properties.desired.on': false } }
  const at = '/configurations/night'
  const body = { id: 'night', content, targetCondition: "tags.hall = 'b'", priority: 1, metrics: { queries: {} } }
  await rightly(200, 'PUT', at, { body })
  await rightly(409, 'PUT', at, { body })
  await rightly(400, 'PUT', '/configurations/bad', { body: { content: {} } })
  await rightly(200, 'GET', at)
  await rightly(200, 'GET', '/configurations?top=5')
  const asked = { targetCondition: 'a =', customMetricQueries: { bad: 'DROP' } }
  await rightly(200, 'POST', '/configurations/testQueries', { body: asked })
  await rightly(204, 'POST', '/devices/d1/applyConfigurationContent', { body: content })
  await rightly(404, 'POST', '/devices/nobody/applyConfigurationContent', { body: content })
  await rightly(204, 'DELETE', at, { headers: any })
  await rightly(404, 'GET', at)
  const job = { type: 'scheduleUpdateTwin', updateTwin: { tags: { checked: true } }, queryCondition: '*' }
  const later = { ...job, startTime: new Date(Date.now() + 3_600_000).toISOString() }
  await rightly(200, 'PUT', '/jobs/v2/later', { body: later })
  await rightly(409, 'PUT', '/jobs/v2/later', { body: later })
  await rightly(400, 'PUT', '/jobs/v2/bad', { body: { ...job, queryCondition: 'a =' } })
  await rightly(200, 'GET', '/jobs/v2/later')
  await rightly(404, 'GET', '/jobs/v2/none')
  await rightly(200, 'GET', '/jobs/v2/query?jobType=scheduleUpdateTwin')
  await rightly(200, 'POST', '/jobs/v2/later/cancel')
}

async function provisioning(): Promise<void> {
  const attestation = { type: 'symmetricKey', symmetricKey }
  const query = { body: { query: 'SELECT * FROM enrollments' } }
  for (const [collection, id] of [
    ['/enrollments', 'registrationId'],
    ['/enrollmentGroups', 'enrollmentGroupId'],
    ['/enrollmentgroups', 'enrollmentGroupId'],
  ] as const) {
    const at = `${collection}/e1`
    await rightly(200, 'PUT', at, { body: { [id]: 'e1', attestation } })
    await rightly(412, 'PUT', at, { body: { [id]: 'e1', attestation }, headers: { 'if-match': '"AAAA"' } })
    await rightly(200, 'GET', at)
    await rightly(200, 'POST', `${at}/attestationmechanism`)
    await rightly(200, 'POST', `${collection}/query`, query)
    await rightly(400, 'POST', `${collection}/query`, { body: { query: 'DROP' } })
    await rightly(204, 'DELETE', at, { headers: any })
    await rightly(404, 'GET', at)
  }
  for (const slash of ['', '/']) {
    const enrollments = [{ registrationId: `bulk${slash.length}`, attestation }]
    await rightly(200, 'POST', `/enrollments${slash}`, { body: { mode: 'create', enrollments } })
  }
  await registrations()
  await rightly(200, 'GET', '/linkedHubs')
  const connectionString = formatConnectionString({
    hostName: 'other.example',
    sharedAccessKeyName: 'service',
    sharedAccessKey: deviceKey,
  })
  await rightly(200, 'PUT', '/linkedHubs/other.example', { body: { connectionString, allocationWeight: 2 } })
  await rightly(400, 'PUT', '/linkedHubs/other.example', { body: { allocationWeight: 2 } })
  await rightly(204, 'DELETE', '/linkedHubs/other.example')
  await rightly(404, 'DELETE', '/linkedHubs/other.example')
}

/** A device that registers, by a group. */
async function registrations(): Promise<void> {
  const attestation = { type: 'symmetricKey', symmetricKey }
  await rightly(200, 'PUT', '/enrollmentGroups/ours', { body: { enrollmentGroupId: 'ours', attestation } })
  const at = '/0ne00000001/registrations/r1'
  const key = derivedKey(deviceKey, 'r1')
  const authorization = createSasToken({ scope: at.slice(1), key, expiresAtMs })
  const begun = await fetch(`${penstock.httpUrl}${at}/register`, {
    method: 'PUT',
    headers: { authorization, 'content-type': 'application/json' },
    body: '{}',
  })
  expect(begun.status).toBe(202)
  const { operationId } = (await begun.json()) as { operationId: string }
  const isAssigning = async (): Promise<boolean> => {
    const polled = await fetch(`${penstock.httpUrl}${at}/operations/${operationId}`, { headers: { authorization } })
    return ((await polled.json()) as { status: string }).status !== 'assigned'
  }
  await expect.poll(isAssigning).toBe(false)
  await rightly(200, 'GET', '/registrations/r1')
  await rightly(200, 'POST', '/registrations/ours/query', { body: { query: 'SELECT * FROM enrollments' } })
  await rightly(204, 'DELETE', '/registrations/r1', { headers: any })
  await rightly(404, 'GET', '/registrations/r1')
}

async function uploads(): Promise<void> {
  for (const bound of ['serviceBound/fileNotifications', 'servicebound/filenotifications']) {
    await uploaded()
    const box = `/messages/${bound}`
    const lockOf = async () => (await rightly(200, 'GET', box)).etag.replaceAll('"', '')
    await rightly(204, 'POST', `${box}/${await lockOf()}/abandon`)
    await rightly(204, 'DELETE', `${box}/${await lockOf()}`)
    await rightly(412, 'DELETE', `${box}/gone`)
    await rightly(204, 'GET', box)
  }
}

/** A file of the device, of which a service is told. */
async function uploaded(): Promise<void> {
  const headers = { authorization: device, 'content-type': 'application/json' }
  const at = `${penstock.httpUrl}/devices/d1/files`
  const begun = await fetch(at, { method: 'POST', headers, body: JSON.stringify({ blobName: 'a.txt' }) })
  expect(begun.status).toBe(200)
  const { correlationId, containerName, blobName, sasToken } = (await begun.json()) as Record<string, string>
  const stored = await fetch(`${penstock.httpUrl}/${containerName}/${blobName}${sasToken}`, {
    method: 'PUT',
    headers: { 'x-ms-blob-type': 'BlockBlob' },
    body: 'a',
  })
  expect(stored.status).toBe(201)
  const body = JSON.stringify({ correlationId, isSuccess: true, statusCode: 200, statusDescription: 'done' })
  expect((await fetch(`${at}/notifications`, { method: 'POST', headers, body })).status).toBe(204)
}

async function operators(): Promise<void> {
  await rightly(200, 'GET', '/settings')
  await rightly(200, 'POST', '/console/sql', { body: 'SELECT 1' })
  for (const path of ['/healthz', '/readyz', '/metrics', '/console/metrics', '/openapi.json'])
    await rightly(200, 'GET', path, { token: '' })
  for (const path of ['/healthz', '/readyz']) await rightly(200, 'HEAD', path)
  await rightly(400, 'GET', '/console/metrics?since=now')
  await rightly(200, 'GET', '/api/noisiest')
  await rightly(401, 'GET', '/api/noisiest', { token: '' })
  await rightly(200, 'GET', '/delivery')
  await rightly(200, 'GET', '/dead-letters')
  await rightly(404, 'GET', '/dead-letters/0:7')
  await rightly(404, 'POST', '/dead-letters/0:7/replay')
  await rightly(404, 'DELETE', '/dead-letters/0:7')
  await loadTests()
}

async function loadTests(): Promise<void> {
  const asked = { devices: 2, rate: 20, seconds: 5, bodyBytes: 48, qos: 1, shape: 'steady' }
  await rightly(400, 'POST', '/api/load-tests', { body: { ...asked, devices: 0 } })
  const { run } = JSON.parse((await rightly(202, 'POST', '/api/load-tests', { body: asked })).text) as { run: string }
  await rightly(409, 'POST', '/api/load-tests', { body: asked })
  await rightly(204, 'POST', '/api/load-tests/stop')
  const stage = async () => JSON.parse((await rightly(200, 'GET', '/api/load-tests')).text).running.stage
  await expect.poll(stage, { timeout: 30_000 }).toBe('done')
  await rightly(200, 'GET', `/api/load-tests/${run}?compare=${run}`)
  await rightly(200, 'GET', `/api/load-tests/${run}/report`)
  await rightly(204, 'DELETE', `/api/load-tests/${run}`)
  await rightly(404, 'GET', `/api/load-tests/${run}`)
}

async function removals(): Promise<void> {
  await rightly(204, 'DELETE', '/devices/d1/modules/m', { headers: any })
  await rightly(412, 'DELETE', '/devices/d1', { headers: { 'if-match': '"AAAA"' } })
  await rightly(204, 'DELETE', '/devices/d1', { headers: any })
}

test('every operation answers as the document says, with whatever status', { timeout: 180_000 }, async () => {
  for (const part of [
    registry,
    trust,
    routes,
    devices,
    connected,
    feedback,
    many,
    provisioning,
    uploads,
    operators,
    () => callModels(rightly),
    () => callTransfers(rightly),
    () => callForSenders(rightly, device, module),
    removals,
  ])
    await part()
  // The module would have to be connected, and of letters there would have to be one.
  const methods = ['post /twins/{device}/modules/{module}/methods']
  const letters = ['get /dead-letters/{id}', 'delete /dead-letters/{id}', 'post /dead-letters/{id}/replay']
  expect(answers.unseen.toSorted()).toEqual([...methods, ...letters].toSorted())
})

test('whoever judges answers sees what is too much, too little and of another kind', () => {
  const good = { totalDeviceCount: 1, enabledDeviceCount: 1, disabledDeviceCount: 0 }
  const judged = (body: object, status = 200, path = '/statistics/devices') =>
    answers.faultsOf('GET', path, undefined, {
      status,
      contentType: 'application/json; charset=utf-8',
      text: JSON.stringify(body),
    })
  expect(judged(good)).toEqual([])
  for (const wrong of [{ ...good, more: 1 }, { ...good, totalDeviceCount: 'one' }, { totalDeviceCount: 1 }, [good]])
    expect(judged(wrong)).not.toEqual([])
  expect(judged(good, 202)).toEqual(['GET /statistics/devices (202): a status that is not told'])
  expect(judged({ Message: 'm' }, 401)).not.toEqual([])
  expect(judged(good, 200, '/statistics')).toEqual(['GET /statistics is no operation'])
})
