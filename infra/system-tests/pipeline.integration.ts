/** The whole pipeline as a user runs it, on the embedded log and on a real Kafka. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import mqtt from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'

const run = promisify(execFile)
const loadtest = join(import.meta.dirname, '../../loadtest/cli/loadtest.ts')
const command = join(import.meta.dirname, '../penstock.ts')
const kafka = serverFor('Kafka', kafkaMissing)

let dataDir = ''
let penstock: RunningPenstock | undefined

async function start(environment: Readonly<Record<string, string>>): Promise<RunningPenstock> {
  penstock = await startPenstock(dataDir, environment)
  return penstock
}

async function query(url: string, statement: string): Promise<string> {
  const response = await fetch(url, { method: 'POST', body: statement })
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  return text.trim()
}

/** Polls until `statement` answers `expected`; the test's own time-out bounds it. */
async function until(url: string, statement: string, expected: string): Promise<void> {
  let answer = ''
  while (answer !== expected) {
    answer = await query(url, statement).catch(() => 'no answer')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function publish(url: string, deviceId: string, bodies: readonly string[]): Promise<void> {
  const client = await mqtt.connectAsync(url, { clientId: deviceId, reconnectPeriod: 100 })
  await Promise.all(bodies.map((body) => client.publishAsync(`devices/${deviceId}/messages/events/`, body, { qos: 1 })))
  await client.endAsync()
}

const numbers = (first: number, count: number) => Array.from({ length: count }, (_, i) => String(first + i))
const counts =
  'SELECT device_id, count(), uniqExact(body) FROM penstock.telemetry GROUP BY device_id ORDER BY device_id'

const logs: [string, boolean, () => Record<string, string>][] = [
  ['the embedded log', true, () => ({})],
  [
    'Kafka',
    !kafka.skip,
    () => ({ PENSTOCK_KAFKA_BROKERS: broker?.bootstrap ?? '', PENSTOCK_TOPIC_PREFIX: `p${process.hrtime.bigint()}` }),
  ],
]
let broker: KafkaForTests | undefined

beforeAll(async () => {
  if (!kafka.skip) broker = await startKafka()
})
afterAll(async () => {
  await broker?.stop()
})
afterEach(async () => {
  await penstock?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

describe.each(logs)('on %s', (_name, found, environmentOf) => {
  test.skipIf(!found)(
    'messages become rows; a stop and a start keep every acknowledged one [G-1] [G-2]',
    { timeout: 180_000 },
    async () => {
      dataDir = mkdtempSync(join(tmpdir(), 'penstock-pipeline-'))
      const environment = environmentOf()
      const first = await start(environment)
      await Promise.all([publish(first.mqttUrl, 'a', numbers(0, 500)), publish(first.mqttUrl, 'b', numbers(0, 300))])
      await until(first.clickhouseUrl, counts, 'a\t500\t500\nb\t300\t300')
      // All of it: nothing stands still.
      const ready = async () => await (await fetch(`${first.httpUrl}/readyz`)).text()
      await expect.poll(ready, { timeout: 30_000 }).toBe('ready\n')
      expect(await (await fetch(`${first.httpUrl}/metrics`)).text()).toContain('penstock_edge_connections')
      await publish(first.mqttUrl, 'a', numbers(500, 500))
      expect(await first.stop(), first.output()).toBe(0)

      const second = await start(environment)
      await publish(second.mqttUrl, 'b', numbers(300, 10))
      await until(second.clickhouseUrl, counts, 'a\t1000\t1000\nb\t310\t310')
      const order = await query(
        second.clickhouseUrl,
        "SELECT groupArray(n) = range(1000) FROM (SELECT toUInt32(body) AS n FROM penstock.telemetry WHERE device_id = 'a' ORDER BY log_offset, n)",
      )
      expect(order).toBe('1')
    },
  )

  test.skipIf(!found)(
    'partitions grow by one command while devices send: every message once, and in the order of its device [G-2] [G-3]',
    { timeout: 300_000 },
    async () => {
      dataDir = mkdtempSync(join(tmpdir(), 'penstock-pipeline-'))
      const environment = { ...environmentOf(), PENSTOCK_PARTITIONS: '2', PENSTOCK_EDGE_PROCESSES: '2' }
      const running = await start(environment)
      const grow = (to: string) =>
        run(process.execPath, [command, 'grow-partitions', '--to', to], {
          env: { ...process.env, ...environment, PENSTOCK_DATA_DIR: dataDir },
        })
      const devices = Array.from({ length: 8 }, (_, index) => `d${index}`)
      let isGrown = false
      const sent = devices.map(async (device) => {
        const client = await mqtt.connectAsync(running.mqttUrl, { clientId: device, reconnectPeriod: 100 })
        let count = 0
        while (!isGrown) await client.publishAsync(`devices/${device}/messages/events/`, String(count++), { qos: 1 })
        await client.endAsync()
        return count
      })
      await until(running.clickhouseUrl, 'SELECT uniqExact(device_id) FROM penstock.telemetry', '8')
      await expect(grow('3')).rejects.toThrow('allowed is a multiple of 2, 2 or 4 say, not 3')
      // A log that confirms too slowly has edges give it up; then nothing has changed, and it is done again: on a busy machine, often.
      const hasGrown = () =>
        grow('8').then(
          () => true,
          (error: unknown) => !String(error).includes('LOG_GROWTH_ABANDONED'),
        )
      while (!(await hasGrown())) await query(running.clickhouseUrl, 'SELECT 1')
      isGrown = true
      const total = (await Promise.all(sent)).reduce((sum, count) => sum + count, 0)
      await publish(running.mqttUrl, 'd0', ['last'])
      await until(running.clickhouseUrl, 'SELECT count() FROM penstock.telemetry', String(total + 1))
      const ordered = `SELECT countIf(numbers != range(length(numbers))) FROM (SELECT groupArray(toUInt32OrZero(body)) AS numbers FROM
        (SELECT * FROM penstock.telemetry WHERE body != 'last' ORDER BY log_partition, log_offset, toUInt32OrZero(body)) GROUP BY device_id)`
      expect(await query(running.clickhouseUrl, ordered)).toBe('0')
      expect(await query(running.clickhouseUrl, 'SELECT max(log_partition) > 1 FROM penstock.telemetry')).toBe('1')
      await expect(grow('8')).rejects.toThrow('there are 8 already')
    },
  )

  test.skipIf(!found)(
    'a load with edge, worker and warehouse killed in the middle: nothing lost, nothing twice [G-2]',
    { timeout: 240_000 },
    async () => {
      dataDir = mkdtempSync(join(tmpdir(), 'penstock-pipeline-'))
      const running = await start({ ...environmentOf(), PENSTOCK_EDGE_PROCESSES: '2' })
      const load = run(process.execPath, [
        loadtest,
        '--url',
        running.mqttUrl,
        '--clickhouse',
        running.clickhouseUrl,
        '--connections',
        '20',
        '--rate',
        '4000',
        '--seconds',
        '8',
        '--seed',
        '7',
        '--report',
        'none',
      ])
      for (const [role, after] of [
        ['worker', 4_000],
        ['warehouse', 10_000],
        ['edge', 16_000],
        ['worker', 20_000],
      ] as const) {
        await until(running.clickhouseUrl, `SELECT count() > ${after} FROM penstock.telemetry`, '1')
        const [pid] = running.pidsOf(role)
        if (pid !== undefined) process.kill(pid, 'SIGKILL')
      }
      const result = await load.catch((error: { code?: number; stdout?: string; stderr?: string }) => error)
      // 3: the ledger is clean, but this machine was too busy for the figures to count, which no one wants here.
      const exitCode = 'code' in result ? result.code : 0
      expect([0, 3], `${result.stdout}\n${result.stderr}\n${running.output()}`).toContain(exitCode)
    },
  )
})

test('kill -9 of the supervisor ends its roles by themselves, and a new start delivers the rest [G-2]', {
  timeout: 120_000,
}, async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-pipeline-'))
  const first = await start({})
  await publish(first.mqttUrl, 'a', numbers(0, 200))
  await first.kill()
  const second = await start({})
  await until(second.clickhouseUrl, counts, 'a\t200\t200')
})

test('settings that are wrong stop the start, all named at once', async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-pipeline-'))
  const failed = startPenstock(dataDir, {
    PENSTOCK_MQTT_PROT: '1',
    PENSTOCK_PARTITIONS: '0',
    PENSTOCK_LOG_LEVEL: 'loud',
  })
  await expect(failed).rejects.toThrow(/PENSTOCK_MQTT_PROT is not a setting[\s\S]*near it: .*PENSTOCK_MQTT_PORT/)
  await expect(failed).rejects.toThrow(/PENSTOCK_PARTITIONS=0: allowed is an integer from 1 to 4096/)
  await expect(failed).rejects.toThrow(/PENSTOCK_LOG_LEVEL=loud: allowed is one of error, warn, info, debug/)
})
