/**
 * A scenario: an installation of its own, devices that send to it, and a seeded schedule of faults meanwhile.
 *
 *   prepare ── load begins ── inject: wait for progress, do harm, wait, repair … ── load ends ── ledger against rows
 */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RestAccess } from '#control/client/client.ts'
import type { AgentAddress } from '#loadtest/agents/agent-socket.ts'
import type { LoadOptions } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { Threshold } from '#loadtest/result/slo.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import type { WorkloadFile } from '../workload/workload-file.ts'
import type { LoadView } from './load-view.ts'

export interface ScenarioOptions {
  readonly seed: number
  /** How many faults are injected. */
  readonly faults: number
  /** The load goes on until at least so many are acknowledged and all faults are done. */
  readonly messages: number
  /** Messages a second over all connections. */
  readonly rate: number
  readonly connections: number
  /** `host:port` of Kafka's brokers; undefined: the embedded log. */
  readonly kafka: string | undefined
  /** Commit or tag that runs beside this version, where the scenario takes one. */
  readonly previous?: string | undefined
  /** All devices must be connected by then. */
  readonly connectMsMax?: number
  /** What devices send instead of one workload; `rate` and `connections` are then its sums. Undefined: all alike. */
  readonly workload?: WorkloadFile | undefined
  /** Judged over the whole run, faults included. */
  readonly thresholds?: readonly Threshold[]
}

export interface Scenario {
  readonly name: string
  /** One line for people. */
  readonly summary: string
  /** What a run does unless it is told otherwise; `small` takes seconds. */
  readonly usual: Size
  readonly small: Size
  /** `own`: starts brokers of its own, and needs Java for them. */
  readonly log: 'any' | 'own Kafka' | 'embedded'
  /** Needs what a test run does not have, such as the project's history, or takes too long for one. */
  readonly isByHand?: boolean
  /** Whether it runs another version of the project beside this one; left out: it does not. */
  readonly previous?: 'needed' | 'optional'
  prepare(stage: Stage): Promise<Site>
}

export type Size = Pick<ScenarioOptions, 'faults' | 'messages' | 'rate' | 'connections'>

/** What the devices send to, ready to take traffic. */
export interface Site {
  readonly mqttUrl: string
  /** Where rows are counted, past any fault on the way. */
  readonly clickhouseUrl: string
  /** Where devices are registered first; undefined: they need not be known. */
  readonly registry?: RestAccess
  /** How devices reach it, where that is not as usual. */
  readonly load?: Partial<Pick<LoadOptions, 'tlsCaFile' | 'processes' | 'connectMsMax'>>
  /** Machines from which devices send; absent: this one. */
  readonly agents?: readonly AgentAddress[]
  /** Resolves after all faults, with everything repaired. */
  inject(load: LoadView): Promise<void>
  /** Figures that only the whole run has. */
  factsOf?(load: LoadResult): Readonly<Record<string, number>>
  /** What is wrong beside the ledger, once all rows are there. */
  faultOf?(): Promise<string | undefined>
}

/** Most entries of the record of faults. */
const eventsMax = 1_000

export interface FaultEvent {
  readonly kind: string
  /** Since the load began. */
  readonly atMs: number
  readonly acknowledged: number
}

/** What a scenario works with: its seed's random numbers, a folder, settings, and the record of what it did. */
export class Stage {
  readonly options: ScenarioOptions
  readonly dataDir = mkdtempSync(join(tmpdir(), 'penstock-scenario-'))
  /** Settings of everything started; ports are chosen by who starts it. */
  readonly settings: Readonly<Record<string, string>>
  /** From 0 (inclusive) to 1. */
  readonly random: () => number
  /** A whole number from `min` to `max`, both possible. */
  readonly integer: (min: number, max: number) => number
  readonly faults: Record<string, number> = {}
  readonly events: FaultEvent[] = []
  /** Figures beside the ledger, e.g. a ratio that was measured. */
  readonly facts: Record<string, number> = {}
  readonly #stops: (() => Promise<unknown>)[] = []
  #beganMs = performance.now()

  constructor(options: ScenarioOptions) {
    this.options = options
    const { next, integer } = seededRandom(options.seed)
    this.random = next
    this.integer = integer
    this.settings = {
      PENSTOCK_DATA_DIR: this.dataDir,
      PENSTOCK_LOG_LEVEL: 'warn',
      ...(options.kafka === undefined ? {} : { ...givenKafkaSettings(), ...kafkaSettings(options.kafka) }),
    }
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[Math.floor(this.random() * choices.length)] ?? choices[0]
  }

  /** Has `stop` called at the end, the last first. */
  own(stop: () => Promise<unknown>): void {
    this.#stops.push(stop)
  }

  begin(): void {
    this.#beganMs = performance.now()
  }

  /** Records one fault. */
  injected(kind: string, load: LoadView): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1
    if (this.events.length < eventsMax)
      this.events.push({ kind, atMs: Math.round(performance.now() - this.#beganMs), acknowledged: load.acknowledged })
  }

  /** Keeps a figure, the largest of all that have its name. */
  noteLargest(name: string, value: number): void {
    this.facts[name] = Math.max(this.facts[name] ?? value, value)
  }

  /**
   * Calls `action` for each fault of the schedule: the messages are cut into as many stretches as there are faults, and each
   * fault has its moment within its stretch, some milliseconds behind a progress report.
   */
  async schedule(load: LoadView, action: (index: number) => Promise<void>): Promise<void> {
    const { faults, messages } = this.options
    for (let index = 0; index < faults; index++) {
      const due = (messages * (index + this.random())) / faults
      const delayMs = this.random() * 500
      await load.untilAcknowledged(Math.floor(due))
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      await action(index)
    }
  }

  /** Stops what was started and removes its data. */
  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop()
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** TLS and user of brokers that were there before, as the environment has them. */
function givenKafkaSettings(): Record<string, string> {
  const given = Object.entries(process.env).filter(([name]) => name.startsWith('PENSTOCK_KAFKA_'))
  return Object.fromEntries(given.map(([name, value]) => [name, value ?? '']))
}

/** Topics of their own, so that several runs share one Kafka. */
export function kafkaSettings(brokers: string): Record<string, string> {
  return {
    PENSTOCK_KAFKA_BROKERS: brokers,
    PENSTOCK_TOPIC_PREFIX: `scenario-${process.pid}-${Date.now().toString(36)}`,
  }
}
