import { type ExchangeCounts, noExchanges } from '#loadtest/ledger/exchange-ledger.ts'
import { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import type { Reconciliation } from '#loadtest/ledger/reconcile.ts'
import { type ExchangeKind, loadDefaults } from '#loadtest/options/load-options.ts'
import { type ExchangeResult, exchangeResult } from './exchange-result.ts'
import type { LoadResult } from './load-result.ts'

/** A result for tests of what is made of results. */
export function fakeResult(lost = 0): LoadResult {
  const progress = { offered: 1_000, sent: 1_000, settled: 1_000, open: 2 }
  const histogram = new LatencyHistogram()
  histogram.add(1_234, 999)
  histogram.add(80_000, 1)
  const latency = { summary: histogram.summary(), snapshot: histogram.snapshot() }
  const options = { ...loadDefaults, run: 'r' }
  return {
    manifest: { ...machine, startedAt: '2030-01-01T00:00:00.000Z', options, workloads: [options], agents: [] },
    counts: { atStop: progress, atEnd: progress },
    connectMs: 10,
    sendMs: 1_000,
    consumedMs: 1_100,
    sentPerSecond: 1_000,
    acknowledgedPerSecond: 1_000,
    storedPerSecond: 900,
    latency: { acknowledged: latency, raw: latency, sendDelay: latency, visible: latency },
    exchanges: [],
    workloads: [{ name: 'all', counts: progress, acknowledgedPerSecond: 1_000, acknowledged: latency }],
    connections: { opened: 2, lost: 0, refused: 0, connectedLate: 0, lastFault: '' },
    acknowledgedOutOfOrder: 0,
    acknowledgedUnexpected: 0,
    generators: [{ agent: undefined, cpuShare: 0.5, loopDelayMsP99: 3, loopDelayMsMax: 4 }],
    warnings: lost > 0 ? ['generator process 0 was late'] : [],
    validity: { isValid: true, reasons: [] },
    timeline,
    target,
    reconciliation: fakeReconciliation(lost),
    thresholds: [],
    verdict: lost > 0 ? 'failed' : 'passed',
  }
}

/** A workload of another kind than telemetry. @param changes to counts in which nothing went wrong */
export function fakeExchange(kind: ExchangeKind, changes: Partial<ExchangeCounts> = {}): ExchangeResult {
  const histogram = new LatencyHistogram()
  histogram.add(5_000, 100)
  const snapshot = histogram.snapshot()
  const counts = { ...noExchanges, sent: 100, answered: 100, arrived: 100, ...changes }
  const faults = counts.lost > 0 ? ['load-r-000009: lost 7'] : []
  const report = { counts, reasons: { '404103': 2 }, answered: snapshot, arrived: snapshot, faults }
  return exchangeResult(`all ${kind}`, kind, [report], 1_000)
}

const machine = {
  node: 'v22',
  cpu: 'a CPU',
  cpuCount: 2,
  memoryBytes: 2 ** 33,
  system: 'Linux 6',
  host: 'h',
  version: '0.1.0',
  commit: 'abc',
  limits: { 'net.core.somaxconn': '4096' },
}

const point = {
  offered: 500,
  sent: 500,
  acknowledged: 480,
  open: 2,
  inFlight: 20,
  p50Ms: 1,
  p99Ms: 9,
  p999Ms: 70,
  maxMs: 80,
}

const timeline = [
  { ...point, atS: 0.5 },
  { ...point, atS: 1, acknowledged: 520 },
]

const target = {
  onLog: 1_000,
  stored: [
    { atS: 0.4, rows: 100 },
    { atS: 1.4, rows: 1_000 },
  ],
  processes: [
    {
      pid: 7,
      name: 'edge 0',
      cpuSeconds: 0.4,
      cpuShare: 0.4,
      residentBytesMax: 90 * 2 ** 20,
      messagesPerCpuSecond: 2_500,
      points: [
        { atS: 0.5, cpuShare: 0.3, residentBytes: 80 * 2 ** 20 },
        { atS: 1, cpuShare: 0.5, residentBytes: 90 * 2 ** 20 },
      ],
    },
  ],
}

function fakeReconciliation(lost: number): Reconciliation {
  const fault = {
    deviceId: 'load-r-000001',
    lost: [
      { from: 5, to: 6 },
      { from: 9, to: 11 },
    ],
    repeated: 0,
    foreign: [],
    outOfOrder: 0,
  }
  return {
    devices: 2,
    sent: 1_000,
    acknowledged: 1_000,
    refused: 0,
    resent: 0,
    rows: 1_000 - lost,
    stored: 1_000 - lost,
    unacknowledgedMissing: 0,
    lost,
    repeated: 0,
    foreign: 0,
    outOfOrder: 0,
    isClean: lost === 0,
    faults: lost > 0 ? [fault] : [],
  }
}
