/**
 * Events read as from Event Hubs, by the hub's own client, while edges are killed: each message once, none missing, in the order of its
 * partition. `MESSAGES` and `KILLS` make it larger, `SEED` repeats its choices.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import type { ReadEvent } from '#infra/testbed/clients/hub-events.ts'
import { penstockPorts, RunningPenstock } from '#infra/testbed/penstock.ts'
import { writeServerCertificate } from '#infra/testbed/server-certificate.ts'
import { sequenceBase } from '#loadtest/generate/body-layout.ts'
import { countOfRanges, type DeviceLedger } from '#loadtest/ledger/ledger.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { freePort } from '#runtime/free-ports.ts'
import { seededRandom } from '#runtime/seeded-random.ts'

const messages = Number(process.env.MESSAGES ?? 2_000)
const kills = Number(process.env.KILLS ?? 1)
const connections = 20
const client = join(import.meta.dirname, '../testbed/clients/hub-events.ts')

/** What a reader was given, counted. */
class ReadTelemetry {
  total = 0
  readonly faults: string[] = []
  readonly #last = new Map<string, number>()
  /** Of each device, how often each of its sequence numbers was read. */
  readonly #times = new Map<string, Uint8Array>()

  note({ partition, number, deviceId, body }: ReadEvent): void {
    this.total++
    const before = this.#last.get(partition) ?? -1
    if (number <= before) this.faults.push(`partition ${partition}: ${number} behind ${before}`)
    this.#last.set(partition, number)
    const sequence = (JSON.parse(body) as { seq: number }).seq - sequenceBase
    const times = this.#timesOf(deviceId)
    times[sequence] = (times[sequence] ?? 0) + 1
  }

  /** Acknowledged messages that were never read, and such as were read oftener than their device sent them. */
  compare(ledgers: readonly DeviceLedger[]): { readonly missing: number; readonly repeated: number } {
    let [missing, repeated] = [0, 0]
    for (const { deviceId, sent, acknowledged, resent } of ledgers) {
      const times = this.#timesOf(deviceId)
      for (const { from, to } of acknowledged)
        for (let sequence = from; sequence < to; sequence++) if (times[sequence] === 0) missing++
      const allowed = new Uint8Array(sent).fill(1)
      for (const { from, to } of resent) for (let sequence = from; sequence < to; sequence++) allowed[sequence]!++
      for (const [sequence, count] of times.entries()) repeated += Math.max(0, count - (allowed[sequence] ?? 0))
    }
    return { missing, repeated }
  }

  #timesOf(deviceId: string): Uint8Array {
    const times = this.#times.get(deviceId) ?? new Uint8Array(Math.ceil(messages / connections))
    this.#times.set(deviceId, times)
    return times
  }
}

test('a reader of events gets each message once though edges are killed, and none is missing [G-1] [G-3]', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  const random = seededRandom(seed)
  const folder = mkdtempSync(join(tmpdir(), 'penstock-read-'))
  const { certFile, keyFile, ca } = writeServerCertificate(folder)
  const caFile = join(folder, 'ca.pem')
  writeFileSync(caFile, ca)
  const amqpsPort = await freePort()
  const penstock = await RunningPenstock.start({
    settings: {
      ...(await penstockPorts()),
      PENSTOCK_EDGE_PROCESSES: '2',
      PENSTOCK_TLS_CERT: certFile,
      PENSTOCK_TLS_KEY: keyFile,
      PENSTOCK_MQTTS_PORT: '0',
      PENSTOCK_HTTPS_PORT: '0',
      PENSTOCK_AMQPS_PORT: String(amqpsPort),
    },
  })
  const access = `Endpoint=sb://localhost:${amqpsPort}/;SharedAccessKeyName=service;SharedAccessKey=any;EntityPath=telemetry`
  const reader = spawn(process.execPath, [client, 'amqp', access, '$Default', String(Number.MAX_SAFE_INTEGER)], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: caFile },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const read = new ReadTelemetry()
  let killed = 0
  createInterface({ input: reader.stdout }).on('line', (line) => {
    read.note(JSON.parse(line))
    if (killed >= Math.min(kills, Math.floor((read.total / messages) * (kills + 1)))) return
    const pids = penstock.pidsOf('edge')
    const pid = pids[random.below(pids.length)]
    if (pid === undefined) return
    killed++
    process.kill(pid, 'SIGKILL')
  })
  try {
    let ledgers: readonly DeviceLedger[] = []
    const began = performance.now()
    const load = { ...loadDefaults, url: penstock.mqttUrl, clickhouse: penstock.clickhouseUrl, run: 'read' }
    const { reconciliation } = await runLoad(
      { ...load, connections, messages, rate: 'saturate', seconds: 3_600, drainMsMax: 120_000 },
      {
        onLedgers: (all) => {
          ledgers = all
        },
      },
    )
    expect(reconciliation, `SEED=${seed}`).toMatchObject({ isClean: true, acknowledged: messages })
    const rows = reconciliation?.rows ?? 0
    while (read.total < rows && reader.exitCode === null) await sleep(systemClock, 50)
    const seconds = (performance.now() - began) / 1_000
    const resent = ledgers.reduce((sum, ledger) => sum + countOfRanges(ledger.resent), 0)
    const figures = { seed, messages, rows, resent, read: read.total, killed, seconds: Math.round(seconds) }
    process.stdout.write(`${JSON.stringify(figures)}\n`)
    expect(read.faults.slice(0, 10), `SEED=${seed}`).toEqual([])
    expect({ ...read.compare(ledgers), read: read.total, killed }).toEqual({
      missing: 0,
      repeated: 0,
      read: rows,
      killed: kills,
    })
  } finally {
    reader.kill()
    if (reader.exitCode === null && reader.signalCode === null) await once(reader, 'close')
    await penstock.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}, 7_200_000)
