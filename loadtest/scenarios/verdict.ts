import { thresholdLines } from '#loadtest/report/result-screen.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { FaultEvent, Scenario, Stage } from './scenario.ts'

/** What a scenario showed; plain data, so it is also its JSON. */
export interface ScenarioVerdict {
  readonly scenario: string
  readonly seed: number
  readonly log: 'embedded' | 'Kafka'
  readonly rate: number
  readonly connections: number
  readonly seconds: number
  /** Faults injected, by kind. */
  readonly faults: Readonly<Record<string, number>>
  readonly sent: number
  readonly acknowledged: number
  /** Sent again by devices after a lost connection; such a message may be stored once more for each time. */
  readonly resent: number
  readonly rows: number
  /** Distinct messages stored. */
  readonly stored: number
  readonly lost: number
  readonly doubled: number
  readonly neverSent: number
  readonly outOfOrder: number
  readonly connectionsLost: number
  readonly acknowledgedMsP50: number
  readonly acknowledgedMsP99: number
  readonly facts: Readonly<Record<string, number>>
  /** Why the schedule of faults did not come to its end; undefined if it did. */
  readonly failure: string | undefined
  /** 0 lost, 0 doubled, order kept, the schedule done, and thresholds met. */
  readonly isClean: boolean
  readonly events: readonly FaultEvent[]
  readonly load: LoadResult
}

export function verdictOf(
  { name, log }: Scenario,
  { options, faults, facts, events }: Stage,
  load: LoadResult,
  failure: string | undefined,
): ScenarioVerdict {
  const { reconciliation: ledger, latency, connections } = load
  return {
    scenario: name,
    seed: options.seed,
    log: options.kafka === undefined && log !== 'own Kafka' ? 'embedded' : 'Kafka',
    rate: options.rate,
    connections: options.connections,
    seconds: load.consumedMs / 1000,
    faults,
    sent: ledger?.sent ?? 0,
    acknowledged: ledger?.acknowledged ?? 0,
    resent: ledger?.resent ?? 0,
    rows: ledger?.rows ?? 0,
    stored: ledger?.stored ?? 0,
    lost: ledger?.lost ?? 0,
    doubled: ledger?.repeated ?? 0,
    neverSent: ledger?.foreign ?? 0,
    outOfOrder: ledger?.outOfOrder ?? 0,
    connectionsLost: connections.lost,
    acknowledgedMsP50: latency.acknowledged.summary.p50Ms,
    acknowledgedMsP99: latency.acknowledged.summary.p99Ms,
    facts,
    failure,
    isClean: ledger?.isClean === true && failure === undefined && load.thresholds.every(({ isMet }) => isMet),
    events,
    load,
  }
}

/** The verdict for people: a few lines. */
export function verdictScreen(verdict: ScenarioVerdict): string {
  const number = (value: number) => value.toLocaleString('en')
  const { faults, facts, load } = verdict
  const lines = [
    `${verdict.scenario}, seed ${verdict.seed}, ${verdict.log} log, ${number(verdict.rate)} messages/s for ${verdict.seconds.toFixed(0)} s`,
    `faults        ${
      Object.entries(faults)
        .map(([kind, count]) => `${count} × ${kind}`)
        .join(', ') || 'none'
    }`,
    `sent          ${number(verdict.sent)}, of which ${number(verdict.resent)} again after ${number(verdict.connectionsLost)} lost connections`,
    `acknowledged  ${number(verdict.acknowledged)}`,
    `stored        ${number(verdict.stored)} in ${number(verdict.rows)} rows`,
    `lost ${number(verdict.lost)}   doubled ${number(verdict.doubled)}   never sent ${number(verdict.neverSent)}   out of order ${number(verdict.outOfOrder)}`,
    ...Object.entries(facts).map(([name, value]) => `${name}  ${Number(value.toPrecision(4))}`),
    ...thresholdLines(load),
    ...(verdict.failure === undefined ? [] : [`NOT DONE: ${verdict.failure}`]),
    ...(load.reconciliation?.faults ?? []).slice(0, 5).map((fault) => `  ${JSON.stringify(fault)}`),
    verdict.isClean ? 'nothing lost, nothing twice, order kept' : 'NOT as it should be',
  ]
  return lines.join('\n')
}
