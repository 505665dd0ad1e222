/** Reported patches, desired changes, methods and commands beside telemetry, against a whole Penstock, while connections are cut. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { commandLineOf } from '#loadtest/cli/command-line.ts'
import { registerDevices } from '#loadtest/generate/register-devices.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { reportOf } from '#loadtest/report/report.ts'
import { screenOf } from '#loadtest/report/result-screen.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { thresholdsOf } from '#loadtest/result/slo.ts'
import { workloadFileOf, workloadsOf } from '#loadtest/workload/workload-file.ts'
import { runWorkloads } from './run-load.ts'

describe('a mix of all kinds', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-exchanges-'))
  let penstock: RunningPenstock
  let line: ReturnType<typeof commandLineOf>

  beforeAll(async () => {
    penstock = await startPenstock(folder, { PENSTOCK_IDENTITIES: 'required' })
    const { mqttUrl, httpUrl, clickhouseUrl } = penstock
    const args = ['--url', mqttUrl, '--clickhouse', clickhouseUrl, '--registry', httpUrl, '--data-dir', folder]
    line = commandLineOf([...args, '--run', 'mix'], Date.now())
  }, 60_000)

  afterAll(async () => {
    await penstock?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  async function run(document: object, slo = ''): Promise<LoadResult> {
    const workloads = workloadsOf(workloadFileOf(JSON.stringify(document), 'w.json'), line.options)
    const registered = await registerDevices(workloads, line.registry!)
    try {
      const options = workloads.map((each): LoadOptions => ({ ...each, deviceKeySecret: registered.secret }))
      const result = await runWorkloads(options, { thresholds: thresholdsOf(slo) })
      for (const secret of [registered.secret, line.options.service!.token])
        expect(JSON.stringify(result)).not.toContain(secret)
      return result
    } finally {
      await registered.remove()
    }
  }

  test('each has a ledger of its own, and nothing is lost, backwards or twice though connections are cut', async () => {
    const storms = [{ atSeconds: 1.5, share: 0.5 }]
    const device = { connections: 4, storms }
    const result = await run(
      {
        seconds: 3,
        workloads: [
          { name: 'thermostats', kind: 'reported', ...device, rate: 24 },
          { name: 'settings', kind: 'desired', ...device, rate: 40, processes: 2 },
          { name: 'calls', kind: 'methods', ...device, rate: 40, bodyBytes: 500 },
          { name: 'orders', kind: 'commands', ...device, rate: 40, protocol: 5 },
          { name: 'meters', ...device, rate: 200 },
        ],
      },
      // What is under way when a connection is cut may have reached nobody.
      'lost=0,repeated=0,out_of_order=0,missing=60,reported_p99_ms=60000,desired_p99_ms=60000,methods_p99_ms=60000,commands_p99_ms=60000',
    )
    expect(result.exchanges.map(({ kind, faults }) => [kind, faults])).toEqual(
      ['reported', 'desired', 'methods', 'commands'].map((kind) => [kind, []]),
    )
    expect(result.exchanges.map(({ counts: { sent } }) => sent)).toEqual([72, 120, 120, 120])
    for (const { kind, counts, answered, arrived } of result.exchanges) {
      expect(counts.answered + counts.refused + counts.unknown, kind).toBe(counts.sent)
      expect(counts.answered, kind).toBeGreaterThan(counts.sent / 2)
      expect(answered.summary.count, kind).toBe(counts.answered)
      expect(arrived.summary.count, kind).toBe(kind === 'reported' ? 0 : counts.arrived)
    }
    expect(result.reconciliation).toMatchObject({ sent: 600, isClean: true })
    expect(result.counts.atEnd.sent).toBe(600)
    expect(result.connections.lost).toBe(10)
    expect(result.thresholds.filter(({ isMet }) => !isMet)).toEqual([])
    expect(screenOf(result)).toMatch(/orders \(commands\) {3}sent 120/)
    expect(reportOf(result)).toContain('thermostats <span class="muted">reported</span>')
  })

  test('a run without telemetry needs no warehouse, and its missed threshold fails it', async () => {
    const result = await run(
      { seconds: 1, workloads: [{ name: 'calls', kind: 'methods', connections: 2, rate: 20 }] },
      'methods_p50_ms=0,stored_per_s=1',
    )
    // On a busy machine it is invalid as well, which goes before.
    expect(result.verdict).not.toBe('passed')
    expect(result).toMatchObject({ reconciliation: undefined, workloads: [] })
    expect(result.thresholds.map(({ isMet }) => isMet)).toEqual([false, false])
    expect(result.exchanges[0]?.counts).toMatchObject({ sent: 20, answered: 20, arrived: 20 })
    expect(screenOf(result)).toContain('calls (methods)')
    expect(reportOf(result)).toContain('operations/s answered')
  })
})

test('what a kind cannot do is said before anything is sent', async () => {
  const service = { url: 'http://127.0.0.1:1', token: 'SharedAccessSignature' }
  const methods = { ...loadDefaults, run: 'r', workload: 'calls', kind: 'methods', service } as const
  const faultOf = (options: LoadOptions) => runWorkloads([options]).catch((error: Error) => error.message)
  expect(await faultOf({ ...methods, service: undefined })).toBe(
    'workload calls of methods: needs registered devices and a service, so --owner-key or --data-dir',
  )
  expect(await faultOf({ ...methods, url: 'https://h:1' })).toContain('cannot over HTTP')
  expect(await faultOf({ ...methods, rate: 'saturate' })).toBe('workload calls of methods: needs a rate')
  expect(await faultOf({ ...methods, bodyTemplate: '{}' })).toContain('a body template is for telemetry')
  const slowReading = [{ atSeconds: 0, forSeconds: 1, share: 1 }]
  expect(await faultOf({ ...methods, slowReading })).toContain('slow reading is for telemetry')
})
