import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'

let folder = ''
const running: RunningPenstock[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-supervisor-'))
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((penstock) => penstock.stop()))
  rmSync(folder, { recursive: true, force: true })
})

async function start(name: string, environment: Readonly<Record<string, string>> = {}): Promise<RunningPenstock> {
  const penstock = await startPenstock(join(folder, name), environment)
  running.push(penstock)
  return penstock
}

describe('npm start', () => {
  test('takes devices in while ClickHouse is away, and is ready for them', async () => {
    const penstock = await start('data', { PENSTOCK_CLICKHOUSE_URL: 'http://127.0.0.1:1' })
    const client = await mqtt.connectAsync(penstock.mqttUrl, { clientId: 'd1' })
    await client.publishAsync('devices/d1/messages/events/', 'kept on the log', { qos: 1 })
    await client.endAsync()
    expect((await fetch(`${penstock.httpUrl}/readyz`, { method: 'HEAD' })).status).toBe(200)
    const ready = await fetch(`${penstock.httpUrl}/readyz`)
    expect([ready.status, await ready.text()]).toEqual([
      200,
      'ready\ndelivery stands still: the worker waits for ClickHouse\n',
    ])
  })

  test('makes a first device and shows its connection string, also where nobody needs one', async () => {
    const penstock = await start('data')
    while (!penstock.output().includes('SharedAccessKey=')) await new Promise((resolve) => setTimeout(resolve, 50))
    const [, key = ''] = /-u first-device -P '([^']+)'/.exec(penstock.output()) ?? []
    const client = await mqtt.connectAsync(penstock.mqttUrl, {
      clientId: 'first-device',
      username: 'first-device',
      password: key,
    })
    await client.publishAsync('devices/first-device/messages/events/', 'hello', { qos: 1 })
    await client.endAsync()
    expect((await fetch(`${penstock.httpUrl}/devices/first-device?api-version=2021-04-12`)).status).toBe(401)
  })

  test('goes on without a registry where nobody needs one', async () => {
    const penstock = await start('data', { PENSTOCK_OWNER_KEY: 'not base64 !' })
    while (!penstock.output().includes('there is no registry')) await new Promise((resolve) => setTimeout(resolve, 50))
    const client = await mqtt.connectAsync(penstock.mqttUrl, { clientId: 'd1' })
    await client.publishAsync('devices/d1/messages/events/', 'hello', { qos: 1 })
    await client.endAsync()
    expect((await fetch(`${penstock.httpUrl}/readyz`)).status).toBe(200)
  })

  test('no secret is in the environment of the warehouse, which asks for its passwords', async () => {
    const secrets = {
      PENSTOCK_OWNER_KEY: Buffer.alloc(32, 'owner').toString('base64'),
      PENSTOCK_CLICKHOUSE_PASSWORD: 'of-who-writes',
      PENSTOCK_CLICKHOUSE_READONLY_PASSWORD: 'of-who-reads',
    }
    const penstock = await start('data', { ...secrets, AWS_SECRET_ACCESS_KEY: 'of-the-cloud' })
    const [pid] = penstock.pidsOf('warehouse')
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
    expect(environment).toContain('PENSTOCK_DATA_DIR=')
    for (const secret of [...Object.values(secrets), 'of-the-cloud']) expect(environment).not.toContain(secret)
    const status = async (user: string, password: string) =>
      (await fetch(`${penstock.clickhouseUrl}/?query=SELECT+1&user=${user}&password=${password}`)).status
    expect(await status('default', 'of-who-writes')).toBe(200)
    expect(await status('readonly', 'of-who-reads')).toBe(200)
    expect(await status('default', '')).toBe(403)
  })

  test('does not share the ports of another installation', async () => {
    const { port } = new URL((await start('first')).mqttUrl)
    const second = startPenstock(join(folder, 'second'), { PENSTOCK_MQTT_PORT: port })
    await expect(second).rejects.toThrow(`cannot listen on 127.0.0.1:${port}`)
  })

  test('finds out before anything runs what would stop a role half-way', async () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    await expect(startPenstock(file)).rejects.toThrow(
      /ended with 3 [\s\S]*PENSTOCK_DATA_DIR=.* is no folder to write to/,
    )
    const tls = { PENSTOCK_TLS_CERT: file, PENSTOCK_TLS_KEY: file }
    await expect(startPenstock(join(folder, 'data'), tls)).rejects.toThrow(/ended with 3 [\s\S]*TLS_FILES_INVALID/)
    const open = { PENSTOCK_BIND: '0.0.0.0' }
    await expect(startPenstock(join(folder, 'data'), open)).rejects.toThrow(/ended with 3 [\s\S]*BIND_NOT_LOOPBACK/)
  })
})
