/** What devices see while the log does not answer, and what `penstock verify` says afterwards: a whole installation on a real Kafka. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqttPacket from 'mqtt-packet'
import { afterEach, expect, test } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { statusBytesOf } from '#runtime/proc.ts'
import { limits } from '#schemas/limits.ts'

const kafka = serverFor('Kafka', kafkaMissing)
const script = join(import.meta.dirname, '../penstock.js')

let dataDir = ''
let broker: KafkaForTests | undefined
let penstock: RunningPenstock | undefined
const senders: Sender[] = []

afterEach(async () => {
  broker?.pauseBroker(0, false)
  for (const sender of senders.splice(0)) sender.close()
  await penstock?.stop()
  await broker?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

const bodyBytes = 4_096
const messagesPerSender = 8_000
const senderCount = 4
// Bodies that do not compress: what is held is then as large as what was sent.
const pool = crypto.getRandomValues(Buffer.alloc(65_536))

/** A device that writes as fast as its socket takes it, and counts its PUBACKs. */
class Sender {
  readonly #socket: Socket
  readonly #deviceId: string
  #heardBytes = 0
  sent = 0
  closed = false

  constructor(url: URL, deviceId: string) {
    this.#deviceId = deviceId
    this.#socket = connect(Number(url.port), url.hostname)
    this.#socket.on('data', (chunk) => {
      this.#heardBytes += chunk.length
    })
    this.#socket.on('drain', () => this.#send())
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.closed = true
    })
    const connectPacket = { cmd: 'connect', clientId: deviceId, protocolId: 'MQTT', protocolVersion: 4, keepalive: 0 }
    this.#socket.write(mqttPacket.generate(connectPacket as never))
    this.#send()
  }

  /** CONNACK and PUBACKs have 4 bytes each. */
  get acknowledged(): number {
    return Math.max(0, this.#heardBytes / 4 - 1)
  }

  close(): void {
    this.#socket.destroy()
  }

  #send(): void {
    let more = true
    while (more && this.sent < messagesPerSender) {
      const messageId = ++this.sent
      const payload = Buffer.from(pool.subarray(messageId % 60_000, (messageId % 60_000) + bodyBytes))
      payload.write(`${this.#deviceId} ${messageId} `)
      const topic = `devices/${this.#deviceId}/messages/events/`
      more = this.#socket.write(
        mqttPacket.generate({ cmd: 'publish', topic, payload, qos: 1, messageId, dup: false, retain: false }),
      )
    }
  }
}

async function until<T>(ask: () => T | Promise<T>, isDone: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (isDone(answer)) return answer
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function residentBytes(pid: number): number {
  return statusBytesOf(pid, 'VmRSS')
}

const gauge = async (name: string): Promise<number> => {
  const text = await (await fetch(`${penstock?.httpUrl}/metrics`)).text()
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'm').exec(text)?.[1] ?? 0)
}

const rows = async (): Promise<number[]> => {
  const response = await fetch(penstock?.clickhouseUrl ?? '', {
    method: 'POST',
    body: "SELECT count(), uniqExact(arrayStringConcat(arraySlice(splitByChar(' ', body), 1, 2), ' ')) FROM penstock.telemetry",
  })
  return (await response.text()).trim().split('\t').map(Number)
}

function run(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [script, ...args],
      { env: { ...process.env, ...environment } },
      (error, stdout, stderr) => resolve(`${stdout}${stderr}exit ${error ? error.code : 0}`),
    )
  })
}

test.skipIf(kafka.skip)(
  'while the log does not answer, memory stays bounded, sockets wait and requests get a reason; afterwards all flows and verify agrees [G-1] [G-2] [G-4]',
  { timeout: 150_000 },
  async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'penstock-pressure-'))
    broker = await startKafka()
    const environment = {
      PENSTOCK_KAFKA_BROKERS: broker.bootstrap,
      PENSTOCK_TOPIC_PREFIX: `p${process.hrtime.bigint()}`,
    }
    penstock = await startPenstock(dataDir, environment)
    const [edge] = penstock.pidsOf('edge')
    const post = () =>
      fetch(`${penstock?.httpUrl}/devices/h/messages/events`, {
        method: 'POST',
        body: 'x',
        signal: AbortSignal.timeout(5_000),
      })
    expect((await post()).status).toBe(204)
    const quietBytes = residentBytes(edge ?? 0)

    broker.pauseBroker(0, true)
    for (let index = 0; index < senderCount; index++) senders.push(new Sender(new URL(penstock.mqttUrl), `d${index}`))
    await until(
      () => gauge('penstock_edge_pending_bytes'),
      (bytes) => bytes > limits.edgePendingBytesMax,
    )
    const refused = await post()
    expect([429, 503]).toContain(refused.status)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    // What was sent is more than the edge may hold, and it holds no more than that.
    const pressedBytes = residentBytes(edge ?? 0)
    expect(await gauge('penstock_edge_pending_bytes')).toBeLessThan(
      limits.edgePendingBytesMax + 8 * limits.recordBytesMax,
    )
    expect(pressedBytes - quietBytes).toBeLessThan(4 * limits.edgePendingBytesMax)
    process.stdout.write(`edge: ${quietBytes >> 20} MB quiet, ${pressedBytes >> 20} MB with the log stopped\n`)
    expect(senders.map(({ acknowledged, closed }) => ({ acknowledged, closed }))).toEqual(
      Array(senderCount).fill({ acknowledged: 0, closed: false }),
    )

    broker.pauseBroker(0, false)
    await until(
      () => senders.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
      (sum) => sum === senderCount * messagesPerSender,
    )
    const total = senderCount * messagesPerSender + 1
    expect(await until(rows, ([count]) => (count ?? 0) >= total)).toEqual([total, total])

    const { port } = new URL(penstock.clickhouseUrl)
    const settings = { ...environment, PENSTOCK_DATA_DIR: dataDir, PENSTOCK_CLICKHOUSE_PORT: port }
    const verdict = await until(
      () => run(['verify'], settings),
      (text) => text.includes('; 0 batches wait'),
    )
    expect(verdict).toContain('every delivered message is stored exactly once')
    expect(verdict).toMatch(/exit 0$/)
    await fetch(penstock.clickhouseUrl, {
      method: 'POST',
      body: "ALTER TABLE penstock.telemetry DELETE WHERE device_id = 'd1' SETTINGS mutations_sync = 2",
    })
    const faulty = await run(['verify'], settings)
    expect(faulty).toContain(
      `NOT as it should be: ${messagesPerSender.toLocaleString('en')} messages missing, 0 rows double`,
    )
    expect(faulty).toMatch(/exit 1$/)
  },
)
