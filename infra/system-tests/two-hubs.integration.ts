/** Two installations on one machine, of which one has the provisioning service: a device finds its hub, is moved to the other, and is served there. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { RestClient } from '#control/client/client.ts'
import { derivedKey } from '#control/provisioning/derived-key.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { writeServerCertificate } from '#infra/testbed/server-certificate.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-two-hubs-'))
const idScope = '0ne00000001'
const groupKey = randomBytes(32).toString('base64')
const deviceKey = derivedKey(groupKey, 'press-1')
const first = { hostName: 'first.test', ownerKey: randomBytes(32).toString('base64') }
const linkedOwnerKey = randomBytes(32).toString('base64')
let here: RunningPenstock
let there: RunningPenstock
/** The second one, as the first one reaches it. */
let linkedName = ''

beforeAll(async () => {
  const server = writeServerCertificate(folder)
  const authority = join(folder, 'authority.pem')
  writeFileSync(authority, server.ca)
  const dataOf = (name: string): string => {
    mkdirSync(join(folder, name))
    return join(folder, name)
  }
  ;[here, there] = await Promise.all([
    startPenstock(dataOf('here'), {
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: first.hostName,
      PENSTOCK_OWNER_KEY: first.ownerKey,
      PENSTOCK_PROVISIONING_CA: authority,
    }),
    startPenstock(dataOf('there'), {
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_OWNER_KEY: linkedOwnerKey,
      PENSTOCK_TLS_CERT: server.certFile,
      PENSTOCK_TLS_KEY: server.keyFile,
      PENSTOCK_MQTTS_PORT: '0',
      PENSTOCK_AMQPS_PORT: '0',
      PENSTOCK_HTTPS_PORT: '0',
    }),
  ])
  linkedName = `localhost:${/https:\/\/[^:\s]+:(\d+)/.exec(there.output())?.[1]}`
})

afterAll(async () => {
  await here?.stop()
  await there?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const asOwner = (path: string, body: object) =>
  new RestClient({ url: here.httpUrl, ...first }).call('PUT', path, body, { 'If-Match': '*' })

/** Which hub the group's devices go to from now on. */
const send = (hub: string) => {
  const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: groupKey, secondaryKey: groupKey } }
  const reprovisionPolicy = { updateHubAssignment: true, migrateDeviceData: true }
  const group = {
    enrollmentGroupId: 'presses',
    attestation,
    allocationPolicy: 'static',
    iotHubs: [hub],
    reprovisionPolicy,
  }
  return asOwner('/enrollmentGroups/presses', group)
}

/** Registers as a device that knows nothing but the service, its scope and its key. */
async function assigned(): Promise<unknown> {
  const scope = `${idScope}/registrations/press-1`
  const token = createSasToken({ scope, key: deviceKey, expiresAtMs: Date.now() + 60_000 })
  const headers = { Authorization: token, 'Content-Type': 'application/json' }
  const step = async (method: string, path: string) => {
    const init = { method, headers, ...(method === 'PUT' && { body: '{"registrationId":"press-1"}' }) }
    return (await fetch(`${here.httpUrl}/${scope}/${path}?api-version=2021-06-01`, init)).json() as Promise<
      Record<string, Record<string, unknown>>
    >
  }
  const { operationId } = await step('PUT', 'register')
  let hub: unknown
  await expect
    .poll(
      async () => {
        const { registrationState } = await step('GET', `operations/${operationId}`)
        hub = registrationState?.assignedHub
        return registrationState?.status
      },
      // As often as a device may ask.
      { interval: 3_000 },
    )
    .toBe('assigned')
  return hub
}

/** Sends one message as the device. @throws Error where the hub does not let it in */
async function sendTo(hub: RunningPenstock): Promise<void> {
  const device = await connectAsync(hub.mqttUrl, {
    clientId: 'press-1',
    username: 'press-1',
    password: deviceKey,
    reconnectPeriod: 0,
  })
  await device.publishAsync('devices/press-1/messages/events/', '{}', { qos: 1 })
  await device.endAsync()
}

test('a device is made at the hub that its group names, sends there, and leaves it once the group names the other', async () => {
  await asOwner(`/linkedHubs/${encodeURIComponent(linkedName)}`, {
    connectionString: `HostName=${linkedName};SharedAccessKeyName=iothubowner;SharedAccessKey=${linkedOwnerKey}`,
  })
  await send(linkedName)
  expect(await assigned()).toBe(linkedName)
  await sendTo(there)
  await expect(sendTo(here)).rejects.toThrow()

  await send(first.hostName)
  expect(await assigned()).toBe(first.hostName)
  await sendTo(here)
  await expect(sendTo(there)).rejects.toThrow()
  for (const hub of [here, there]) {
    const query = "SELECT count() FROM penstock.telemetry WHERE device_id = 'press-1'"
    const rows = async () => (await fetch(hub.clickhouseUrl, { method: 'POST', body: query })).text()
    await expect.poll(rows).toBe('1\n')
  }
})
