/** The command line of a scenario: `npm run loadtest -- --scenario <name>`. */
import { LineReader } from '#loadtest/options/line-reader.ts'
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
  --previous <ref>    commit or tag of this repository that runs beside this version (upgrade, orderly-ends)
  --json <file>       also write the verdict as JSON; - for standard output instead of the screen

Exit code: 0 nothing lost, nothing twice, order kept, thresholds met; 1 not so; 2 the run itself failed.`
}

/** True if the arguments ask for a scenario. */
export function isScenarioLine(args: readonly string[]): boolean {
  return args.some((arg) => arg === '--scenario' || arg.startsWith('--scenario='))
}

/** @returns undefined if help is asked for, or the list @throws LOADTEST_OPTIONS_INVALID with all faults */
export function scenarioLineOf(args: readonly string[]): ScenarioLine | undefined {
  const line = new LineReader(args, flags)
  line.assertFaultless()
  const name = line.text('scenario') ?? ''
  if (line.isSet('help') || name === 'list') return undefined
  const scenario = scenarioNamed(name)
  if (scenario === undefined)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--scenario ${name}: there is\n${scenarioListText()}`)
  const options = scenarioOptionsOf(line, scenario)
  line.assertFaultless()
  return { scenario, options, jsonFile: line.text('json') }
}

function scenarioOptionsOf(
  line: LineReader,
  { name, log, previous: runsPrevious, small, usual }: Scenario,
): ScenarioOptions {
  const { faults } = line
  const size = line.isSet('small') ? small : usual
  const kafka = line.text('kafka')
  if (kafka !== undefined && log !== 'any')
    faults.push(`--kafka: ${name} needs ${log === 'embedded' ? 'the embedded log' : 'brokers of its own'}`)
  const previous = line.text('previous')
  if (runsPrevious === 'needed' && previous === undefined) faults.push(`--previous: ${name} needs a commit or tag`)
  if (runsPrevious === undefined && previous !== undefined) faults.push(`--previous: ${name} runs this version only`)
  const file = line.text('workload')
  const workload = file === undefined ? undefined : line.collect(() => workloadFileAt(file))
  if (workload) faults.push(...workloadFaults(workload, line.given))
  const slo = [workload?.slo, line.text('slo')].filter(Boolean).join(',')
  const thresholds = line.collect(() => thresholdsOf(slo)) ?? []
  return {
    seed: line.integer('seed', 1, 0, 2 ** 32 - 1),
    faults: line.integer('kills', size.faults, 0, 100_000),
    messages: line.integer('messages', size.messages, 1, 10_000_000_000),
    rate: line.integer('rate', size.rate, 1, 100_000_000),
    connections: line.integer('connections', size.connections, 1, 100_000),
    kafka,
    previous,
    ...(workload && loadOf(workload, size)),
    ...(thresholds.length > 0 ? { thresholds } : {}),
  }
}

/** The installation's address is only known when it is there; its devices are the file's. */
function workloadFaults({ workloads }: WorkloadFile, given: readonly string[]): string[] {
  return [
    ...['rate', 'connections']
      .filter((flag) => given.includes(flag))
      .map((flag) => `--${flag}: the workload file says it`),
    ...workloads.flatMap(({ url }, index) =>
      url === undefined ? [] : `workloads[${index}].url: a scenario has its own`,
    ),
    ...workloads.flatMap(({ kind = 'telemetry' }, index) =>
      kind === 'telemetry' ? [] : `workloads[${index}].kind: a scenario sends telemetry`,
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
  previous: text,
  workload: text,
  slo: text,
  json: text,
  small: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const
