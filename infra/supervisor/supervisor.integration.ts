import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import mqtt from 'mqtt'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import type { HistoryAnswer } from '#runtime/metric-history/metric-history.ts'

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

const script = join(import.meta.dirname, '../penstock.js')

/** A role is believed to stand still for good after a minute, and a process is started again after ever longer pauses. */
const slowMsMax = 240_000

async function until(happened: () => Promise<boolean>): Promise<void> {
  while (!(await happened())) await new Promise((resolve) => setTimeout(resolve, 100))
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
    // Charts have it with the next step, wherever it was counted.
    await until(async () => {
      const { series } = (await (await fetch(`${penstock.httpUrl}/console/metrics`)).json()) as HistoryAnswer
      return series.some(
        ({ name, values }) => name === 'received' && values.some((value) => value !== null && value > 0),
      )
    })
  })

  test('where nobody needs an identity, the registry runs once something asks it, and then shows a first device', {
    timeout: slowMsMax,
  }, async () => {
    const penstock = await start('data')
    expect(penstock.pidsOf('control')).toEqual([])
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => fetch(`${penstock.httpUrl}/devices/first-device?api-version=2021-04-12`)),
    )
    // The first start may take longer than a request waits; nobody is told that there is nothing.
    for (const { status } of answers) expect([401, 503]).toContain(status)
    expect(penstock.pidsOf('control')).toHaveLength(1)
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

  test('the first command of all finds the registry, and its key, where nobody needs an identity', {
    timeout: slowMsMax,
  }, async () => {
    const penstock = await start('data')
    const command = spawn(process.execPath, [script, 'devices', 'create', 'pump-7'], {
      env: {
        ...process.env,
        PENSTOCK_DATA_DIR: join(folder, 'data'),
        PENSTOCK_HTTP_PORT: new URL(penstock.httpUrl).port,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    expect(await text(command.stdout)).toContain('DeviceId=pump-7;SharedAccessKey=')
  })

  test('a registry that dies, of too little memory say, costs its requests only, and a later one starts it', {
    timeout: slowMsMax,
  }, async () => {
    const penstock = await start('data')
    const ask = async () => {
      const answer = await fetch(`${penstock.httpUrl}/devices/d1`)
      return [answer.status, answer.headers.get('retry-after')]
    }
    await expect.poll(ask, { timeout: 60_000 }).toEqual([401, null])
    const [pid = 0] = penstock.pidsOf('control')
    expect(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')).toBe('500\n')
    process.kill(pid, 'SIGKILL')
    while (!penstock.output().includes('the control role ended'))
      await new Promise((resolve) => setTimeout(resolve, 10))
    const client = await mqtt.connectAsync(penstock.mqttUrl, { clientId: 'd1' })
    await client.publishAsync('devices/d1/messages/events/', 'hello', { qos: 1 })
    await client.endAsync()
    await expect.poll(ask, { timeout: 60_000 }).toEqual([401, null])
    expect(penstock.pidsOf('control')).not.toEqual([pid])
  })

  test('goes on without a registry where nobody needs one', async () => {
    const penstock = await start('data', { PENSTOCK_OWNER_KEY: 'not base64 !' })
    const refused = await fetch(`${penstock.httpUrl}/devices/d1`)
    expect([refused.status, Number(refused.headers.get('retry-after'))]).toEqual([503, expect.closeTo(1, 0)])
    expect(penstock.output()).toContain('the control role ended')
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
    const kafka = { PENSTOCK_KAFKA_BROKERS: 'kafka.example:9093' }
    const ca = { ...kafka, PENSTOCK_KAFKA_TLS_CA: file }
    await expect(startPenstock(join(folder, 'data'), ca)).rejects.toThrow(`${file} cannot be used for TLS to Kafka`)
    const inClear = { ...kafka, PENSTOCK_KAFKA_SASL: 'plain', PENSTOCK_KAFKA_USER: 'u', PENSTOCK_KAFKA_PASSWORD: 'p' }
    await expect(startPenstock(join(folder, 'data'), inClear)).rejects.toThrow(
      /ended with 3 [\s\S]*PENSTOCK_KAFKA_SASL=plain would send a secret to kafka.example:9093/,
    )
    const open = { PENSTOCK_BIND: '0.0.0.0' }
    await expect(startPenstock(join(folder, 'data'), open)).rejects.toThrow(/ended with 3 [\s\S]*BIND_NOT_LOOPBACK/)
  })

  test('finds out before anything runs what the embedded engine could not do here, by name', async () => {
    const quoted = startPenstock(join(folder, "it's data"))
    await expect(quoted).rejects.toThrow(/ended with 3 [\s\S]*may not contain/)
    const zone = startPenstock(join(folder, 'data'), { TZ: 'Nowhere/Land' })
    await expect(zone).rejects.toThrow(/ended with 3 [\s\S]*TZ=Nowhere\/Land is no time zone/)
    const bare = startPenstock(join(folder, 'data'), { PATH: folder })
    await expect(bare).rejects.toThrow(/ended with 3 [\s\S]*mkfifo/)
  })

  test.runIf(process.getuid?.() === 0)(
    'runs where there is no /proc, and where it was given a low priority',
    async () => {
      const withoutProc = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs tmpfs /proc && exec "$@"', 'sh']
      const penstock = await startPenstock(join(folder, 'data'), {}, ['nice', '-n', '12', ...withoutProc])
      running.push(penstock)
      const url = `${penstock.httpUrl}/devices/d1/messages/events?api-version=2021-04-12`
      expect((await fetch(url, { method: 'POST', body: 'hello' })).status).toBe(204)
      const rows = async () =>
        (await fetch(penstock.clickhouseUrl, { method: 'POST', body: 'SELECT body FROM penstock.telemetry' })).text()
      await until(async () => (await rows()) === 'hello\n')
      expect(penstock.output()).not.toContain('started again')
    },
  )

  test('none of that is asked of a machine that has no engine', async () => {
    const clickhouse = { PENSTOCK_CLICKHOUSE_URL: 'http://127.0.0.1:1' }
    const penstock = await startPenstock(join(folder, "it's data"), { ...clickhouse, TZ: 'Nowhere/Land', PATH: folder })
    running.push(penstock)
    expect((await fetch(`${penstock.httpUrl}/readyz`)).status).toBe(200)
  })

  test('stops with the reason where a role ends again and again', async () => {
    const dataDir = join(folder, 'data')
    mkdirSync(join(dataDir, 'warehouse'), { recursive: true })
    writeFileSync(join(dataDir, 'warehouse/engine'), 'no folder')
    await expect(startPenstock(dataDir)).rejects.toThrow(
      /ended with 1 [\s\S]*EEXIST[\s\S]*again and again; why is said above role=warehouse/,
    )
  })

  test(
    'goes on for as long as what a role needs is away',
    async () => {
      const child = spawn(process.execPath, [script, 'start'], {
        env: {
          ...process.env,
          PENSTOCK_DATA_DIR: join(folder, 'data'),
          PENSTOCK_MQTT_PORT: '0',
          PENSTOCK_HTTP_PORT: '0',
          PENSTOCK_CLICKHOUSE_URL: 'http://127.0.0.1:1',
          PENSTOCK_IDENTITIES: 'required',
          PENSTOCK_POSTGRES_URL: 'postgres://127.0.0.1:1/none',
        },
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      let output = ''
      child.stderr.on('data', (bytes: Buffer) => {
        output += bytes.toString()
      })
      await until(async () => output.split('started again role=control').length > 6)
      expect(output).not.toContain('again and again')
      child.kill('SIGTERM')
      expect(await once(child, 'exit')).toEqual([0, null])
    },
    slowMsMax,
  )

  test(
    'notices roles that stand still, and starts them anew',
    async () => {
      const penstock = await start('data', { PENSTOCK_EDGE_PROCESSES: '2' })
      const roles = ['edge', 'worker', 'warehouse'] as const
      const stopped = roles.map((role) => penstock.pidsOf(role)[0] ?? 0)
      for (const pid of stopped) process.kill(pid, 'SIGSTOP')
      // Of two edges that share a port the one that stands still may be asked.
      const readiness = () =>
        fetch(`${penstock.httpUrl}/readyz`, { signal: AbortSignal.timeout(2_000), headers: { connection: 'close' } })
          .then((answer) => answer.text())
          .catch(() => '')
      await until(async () => {
        const answer = await readiness()
        return answer.startsWith('not ready\n') && roles.every((role) => answer.includes(`\n${role}-`))
      })
      await until(async () => (await readiness()) === 'ready\n')
      expect(penstock.output().split('says nothing any more and is killed')).toHaveLength(4)
      await until(async () => roles.every((role) => penstock.pidsOf(role).length > 0))
      expect(roles.flatMap((role) => penstock.pidsOf(role)).filter((pid) => stopped.includes(pid))).toEqual([])
    },
    slowMsMax,
  )
})
