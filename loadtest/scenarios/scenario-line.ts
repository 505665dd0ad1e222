/** The command line of a scenario: `npm run loadtest -- --scenario <name>`. */
import { parseArgs } from 'node:util'
import { valueOrFault } from '#loadtest/options/load-options.ts'
import { thresholdsOf } from '#loadtest/result/slo.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type WorkloadFile, workloadFileAt } from '../workload/workload-file.ts'
import type { Scenario, ScenarioOptions, Size } from './scenario.ts'
import { scenarioListText, scenarioNamed } from './scenario-list.ts'

export interface ScenarioLine {
  readonly scenario: Scenario
  readonly options: ScenarioOptions
  readonly jsonFile: string | undefined
}

export function scenarioHelp(): string {
  return `Usage: npm run loadtest -- --scenario <name> [options]

Starts a Penstock of its own on free ports with data in a temporary folder, sends to it while faults are injected, and compares
the ledger with the rows.

${scenarioListText()}

  --seed <n>          schedule of the faults (1)
  --small             a run of seconds
  --kills <n>         faults to inject
  --messages <n>      messages to have acknowledged, at least
  --rate <n>          messages a second over all connections
  --connections <n>   devices
  --workload <file>   what devices send, as a load run takes it, instead of --rate and --connections; if it says seconds, they
                      have to outlast the faults
  --slo <name=n,…>    thresholds over the whole run, faults included; a missed one fails it
  --kafka <host:port> on these Kafka brokers instead of the embedded log; TLS and user by PENSTOCK_KAFKA_…
  --json <file>       also write the verdict as JSON; - for standard output instead of the screen

Exit code: 0 nothing lost, nothing twice, order kept, thresholds met; 1 not so; 2 the run itself failed.`
}

/** True if the arguments ask for a scenario. */
export function isScenarioLine(args: readonly string[]): boolean {
  return args.some((arg) => arg === '--scenario' || arg.startsWith('--scenario='))
}

/** @returns undefined if help is asked for, or the list @throws LOADTEST_OPTIONS_INVALID with all faults */
export function scenarioLineOf(args: readonly string[]): ScenarioLine | undefined {
  const faults: string[] = []
  const values = valuesOf(args)
  const name = String(values.scenario ?? '')
  if (values.help === true || name === 'list') return undefined
  const scenario = scenarioNamed(name)
  if (scenario === undefined)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--scenario ${name}: there is\n${scenarioListText()}`)
  const size = values.small === true ? scenario.small : scenario.usual
  const integer = (flag: string, standard: number, min: number, max: number): number => {
    const given = values[flag]
    if (typeof given !== 'string') return standard
    const value = Number(given)
    if (given.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value
    faults.push(`--${flag} ${given}: allowed is an integer from ${min} to ${max}`)
    return standard
  }
  const kafka = typeof values.kafka === 'string' ? values.kafka : undefined
  if (kafka !== undefined && scenario.log !== 'any')
    faults.push(`--kafka: ${name} needs ${scenario.log === 'embedded' ? 'the embedded log' : 'brokers of its own'}`)
  const collect = <T>(read: () => T) => valueOrFault(read, faults)
  const { workload: file, slo } = values
  const workload = typeof file === 'string' ? collect(() => workloadFileAt(file)) : undefined
  if (workload) faults.push(...workloadFaults(workload, values))
  const thresholds = collect(() => thresholdsOf([workload?.slo, slo].filter(Boolean).join(','))) ?? []
  const options: ScenarioOptions = {
    seed: integer('seed', 1, 0, 2 ** 32 - 1),
    faults: integer('kills', size.faults, 0, 100_000),
    messages: integer('messages', size.messages, 1, 10_000_000_000),
    rate: integer('rate', size.rate, 1, 100_000_000),
    connections: integer('connections', size.connections, 1, 100_000),
    kafka,
    ...(workload && loadOf(workload, size)),
    ...(thresholds.length > 0 ? { thresholds } : {}),
  }
  if (faults.length > 0) throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.join('\n'))
  return { scenario, options, jsonFile: typeof values.json === 'string' ? values.json : undefined }
}

/** The installation's address is only known when it is there; its devices are the file's. */
function workloadFaults({ workloads }: WorkloadFile, values: Readonly<Record<string, unknown>>): string[] {
  return [
    ...['rate', 'connections'].filter((flag) => flag in values).map((flag) => `--${flag}: the workload file says it`),
    ...workloads.flatMap(({ url }, index) =>
      url === undefined ? [] : `workloads[${index}].url: a scenario has its own`,
    ),
  ]
}

/** Faults that wait for a second's messages need its rate; one that saturates counts as the scenario's usual one. */
function loadOf(workload: WorkloadFile, size: Size): Pick<ScenarioOptions, 'workload' | 'rate' | 'connections'> {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  return {
    workload,
    rate: sum(workload.workloads.map(({ rate = size.rate }) => rate)),
    connections: sum(workload.workloads.map(({ connections }) => connections)),
  }
}

const text = { type: 'string' } as const

const flags = {
  scenario: text,
  seed: text,
  kills: text,
  messages: text,
  rate: text,
  connections: text,
  kafka: text,
  workload: text,
  slo: text,
  json: text,
  small: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

function valuesOf(args: readonly string[]): Record<string, string | boolean | undefined> {
  try {
    return parseArgs({ args: [...args], options: flags, strict: true, allowPositionals: false }).values
  } catch (error) {
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', error instanceof Error ? error.message : String(error))
  }
}
