/** A real mosquitto whose bridge forwards what its own clients publish, with the settings that a bridge has by default. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import type { RunningBroker } from '#infra/testbed/broker.ts'
import { findMosquitto, mosquittoMissing, startMosquitto } from '#infra/testbed/mosquitto.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { type Edge, startEdge } from '#ingest/edge.ts'
import { CapturingLog, listeningEdgeOptions } from '#ingest/edge-fixture.ts'
import { freePort } from '#runtime/free-ports.ts'

const run = promisify(execFile)
const mosquitto = serverFor('mosquitto', mosquittoMissing)
const bridgeId = 'plant-7'
const state = `$SYS/broker/connection/${bridgeId}/state`

let edge: Edge | undefined
let broker: RunningBroker | undefined

afterEach(async () => {
  await broker?.stop()
  await edge?.close()
  broker = undefined
  edge = undefined
})

const bodies = Array.from({ length: 200 }, (_, index) => String(index))

/** As a client of the broker beside it. */
async function publishAll({ port }: RunningBroker): Promise<void> {
  const publisher = ['-p', String(port), '-t', 'sensors/hall', '-q', '1', '-l']
  const publishing = run(findMosquitto('mosquitto_pub') ?? '', publisher)
  publishing.child.stdin?.end(`${bodies.join('\n')}\n`)
  await publishing
}

describe.skipIf(mosquitto.skip)(`a bridge of mosquitto ${mosquitto.note}`, () => {
  test.each([
    ['its default: level 0x84 first, then 0x04', []],
    ['try_private false', ['try_private false']],
    ['MQTT 5.0', ['bridge_protocol_version mqttv50']],
  ])('gets in with %s; what it forwards and what it says of itself become rows', async (_what, settings) => {
    const log = new CapturingLog()
    const started = await startEdge({
      ...listeningEdgeOptions(log),
    })
    edge = started
    broker = await startMosquitto([
      'connection up',
      `address 127.0.0.1:${started.mqttPort}`,
      `remote_clientid ${bridgeId}`,
      'topic sensors/# both 1',
      'restart_timeout 1',
      ...settings,
    ])
    const rows = () => log.envelopes().map(({ body, systemProperties: { topic } }) => [topic, String(body)])
    await expect.poll(rows, { timeout: 30_000 }).toEqual([[state, '1']])
    await publishAll(broker)
    await expect.poll(() => rows().length, { timeout: 30_000 }).toBe(1 + bodies.length)
    expect(rows().slice(1)).toEqual(bodies.map((body) => ['sensors/hall', body]))
    expect(new Set(log.envelopes().map(({ deviceId }) => deviceId))).toEqual(new Set([bridgeId]))
    expect(log.envelopes()[0]?.properties).toEqual({ 'mqtt-retain': 'true' })
    // A broker that dies says nothing more: its will does.
    process.kill(broker.pid, 'SIGKILL')
    await expect.poll(() => rows().at(-1)).toEqual([state, '0'])
    expect(log.envelopes().at(-1)?.properties).toEqual({ 'mqtt-retain': 'true', 'iothub-MessageType': 'Will' })
  })

  test('what its clients publish while the edge is away comes once it is back, in order', async () => {
    const mqttPort = await freePort()
    const log = new CapturingLog()
    edge = await startEdge({ ...listeningEdgeOptions(log), mqttPort })
    broker = await startMosquitto([
      'connection up',
      `address 127.0.0.1:${mqttPort}`,
      `remote_clientid ${bridgeId}`,
      'topic sensors/# out 1',
      'restart_timeout 1',
      'try_private false',
    ])
    await expect.poll(() => log.envelopes().length, { timeout: 30_000 }).toBe(1)
    await edge.close()
    await publishAll(broker)
    edge = await startEdge({ ...listeningEdgeOptions(log), mqttPort })
    const published = () => log.envelopes().filter(({ systemProperties: { topic } }) => topic === 'sensors/hall')
    await expect.poll(() => published().map(({ body }) => String(body)), { timeout: 30_000 }).toEqual(bodies)
  })
})
