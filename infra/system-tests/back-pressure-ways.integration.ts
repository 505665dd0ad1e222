/** The bound on memory while the log does not answer, for each way in beside MQTT over TCP: a whole installation on a real Kafka. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqttPacket from 'mqtt-packet'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type KafkaForTests, startKafka } from '#infra/testbed/kafka.ts'
import { kafkaMissing } from '#infra/testbed/kafka-jars.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { statusBytesOf } from '#runtime/proc.ts'
import { limits } from '#schemas/limits.ts'

const kafka = serverFor('Kafka', kafkaMissing)

/** Bodies that do not compress: what is held is then as large as what was sent. */
const pool = crypto.getRandomValues(Buffer.alloc(65_536))

/** A device over WebSocket that sends all it has at once, and counts its PUBACKs. */
class WebSocketDevice {
  readonly #socket: WebSocket
  #heardBytes = 0
  closed = false

  constructor(httpUrl: string, deviceId: string, messages: number) {
    this.#socket = new WebSocket(`${httpUrl.replace('http', 'ws')}/mqtt`, 'mqtt')
    this.#socket.binaryType = 'arraybuffer'
    this.#socket.addEventListener('message', ({ data }) => {
      this.#heardBytes += (data as ArrayBuffer).byteLength
    })
    this.#socket.addEventListener('close', () => {
      this.closed = true
    })
    this.#socket.addEventListener('open', () => {
      const hello = { cmd: 'connect', clientId: deviceId, protocolId: 'MQTT', protocolVersion: 4, keepalive: 0 }
      this.#socket.send(mqttPacket.generate(hello as never))
      const topic = `devices/${deviceId}/messages/events/`
      for (let messageId = 1; messageId <= messages; messageId++) {
        const packet = { cmd: 'publish', topic, payload: pool, qos: 1, messageId, dup: false, retain: false } as const
        this.#socket.send(mqttPacket.generate(packet))
      }
    })
  }

  /** CONNACK and PUBACKs have 4 bytes each. */
  get acknowledged(): number {
    return Math.max(0, this.#heardBytes / 4 - 1)
  }

  close(): void {
    this.#socket.close()
  }
}

async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 50))
}

describe.skipIf(kafka.skip)('while the log does not answer, memory stays bounded [G-4]', () => {
  let dataDir = ''
  let broker: KafkaForTests
  let penstock: RunningPenstock
  let quietBytes = 0
  let pendingBytesMost = 0
  const devices: WebSocketDevice[] = []

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'penstock-pressure-'))
    broker = await startKafka()
    penstock = await startPenstock(dataDir, {
      PENSTOCK_KAFKA_BROKERS: broker.bootstrap,
      PENSTOCK_TOPIC_PREFIX: `w${process.hrtime.bigint()}`,
      PENSTOCK_DEVICE_BYTES_PER_SECOND: '0',
      PENSTOCK_DEVICE_MESSAGES_PER_SECOND: '0',
    })
    expect((await post('first', 'x')).status).toBe(204)
    quietBytes = residentBytes()
  })

  afterEach(() => {
    broker.pauseBroker(0, false)
    for (const device of devices.splice(0)) device.close()
  })

  afterAll(async () => {
    await penstock?.stop()
    await broker?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const residentBytes = (): number => {
    const [edge] = penstock.pidsOf('edge')
    return statusBytesOf(edge ?? 0, 'VmRSS')
  }

  const post = (deviceId: string, body: string | Uint8Array, query = '', headers: Record<string, string> = {}) =>
    fetch(`${penstock.httpUrl}/devices/${deviceId}/messages/events${query}`, { method: 'POST', body, headers })

  /** As its process last told, and no more than it may be. */
  const pendingBytes = async (): Promise<number> => {
    const text = await (await fetch(`${penstock.httpUrl}/metrics`)).text()
    const bytes = Number(/^penstock_edge_pending_bytes(?:\{[^}]*\})? (\S+)/m.exec(text)?.[1] ?? 0)
    pendingBytesMost = Math.max(pendingBytesMost, bytes)
    return bytes
  }

  const rowsOf = async (prefix: string): Promise<number> => {
    const body = `SELECT count() FROM penstock.telemetry WHERE startsWith(device_id, '${prefix}')`
    return Number(await (await fetch(penstock.clickhouseUrl, { method: 'POST', body })).text())
  }

  const expectBounded = (): void => {
    expect(pendingBytesMost).toBeLessThan(limits.edgePendingBytesMax + 8 * limits.recordBytesMax)
    // What waits, bodies, and as much again that is collected but not given back.
    expect(residentBytes() - quietBytes).toBeLessThan(3 * limits.edgePendingBytesMax + 2 * limits.httpBodiesBytesMax)
  }

  /** Sends all of `requests` at once into a log that stands still. @returns how many were taken; the others were told 503 */
  async function flood(requests: readonly (() => Promise<Response>)[]): Promise<number> {
    broker.pauseBroker(0, true)
    let refused = 0
    const statuses = requests.map(async (send) => {
      const { status, headers } = await send()
      if (status !== 503) return status
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
      refused++
      return status
    })
    await until(async () => (await pendingBytes()) > limits.edgePendingBytesMax / 2 && refused > 0)
    expectBounded()
    broker.pauseBroker(0, false)
    const told = await Promise.all(statuses)
    expect(new Set(told)).toEqual(new Set([204, 503]))
    return told.filter((status) => status === 204).length
  }

  test('with many WebSockets, whose messages wait and all come in the end', { timeout: 150_000 }, async () => {
    const [count, messages] = [64, 20]
    broker.pauseBroker(0, true)
    for (let index = 0; index < count; index++)
      devices.push(new WebSocketDevice(penstock.httpUrl, `ws${index}`, messages))
    await until(async () => (await pendingBytes()) > limits.edgePendingBytesMax)
    expectBounded()
    expect(devices.map(({ acknowledged, closed }) => ({ acknowledged, closed }))).toEqual(
      Array(count).fill({ acknowledged: 0, closed: false }),
    )
    broker.pauseBroker(0, false)
    await until(async () => {
      await pendingBytes()
      return devices.every(({ acknowledged }) => acknowledged === messages)
    })
    expectBounded()
    await until(async () => (await rowsOf('ws')) >= count * messages)
    expect(await rowsOf('ws')).toBe(count * messages)
  })

  test('with HTTP batches in flight, which are taken whole or refused', { timeout: 150_000 }, async () => {
    const lines = 14
    const line = Buffer.from(pool.subarray(0, 48_000).toString('base64'))
    const body = Buffer.concat(Array.from({ length: lines }, () => Buffer.concat([line, Buffer.from('\n')])))
    const requests = Array.from({ length: 120 }, (_, index) => () => post(`batch${index}`, body, '?split=lines'))
    const taken = await flood(requests)
    await until(async () => (await rowsOf('batch')) >= taken * lines)
    expectBounded()
    expect(await rowsOf('batch')).toBe(taken * lines)
  })

  test('with split bodies whose properties make them large', { timeout: 150_000 }, async () => {
    const lines = 1_000
    const headers = { 'iothub-app-p': pool.subarray(0, 2_400).toString('base64') }
    const body = '1\n'.repeat(lines)
    const requests = Array.from(
      { length: 60 },
      (_, index) => () => post(`split${index}`, body, '?split=lines', headers),
    )
    const taken = await flood(requests)
    await until(async () => (await rowsOf('split')) >= taken * lines)
    expectBounded()
    expect(await rowsOf('split')).toBe(taken * lines)
    expect((await post('split', '1\n'.repeat(limits.httpMessagesMax), '?split=lines', headers)).status).toBe(413)
  })
})
