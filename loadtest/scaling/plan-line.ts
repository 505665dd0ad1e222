/** The command line of a plan: `npm run loadtest -- --plan`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bytes, count, short } from '#loadtest/options/figures.ts'
import { LineReader } from '#loadtest/options/line-reader.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { fitModel } from './model.ts'
import { type Plan, planOf } from './plan.ts'
import { checkPlan, checkTable } from './plan-check.ts'
import { type PlanFlag, type PlanQuestion, planFlags, planOptions, planQuestion } from './plan-question.ts'
import { newestRunOf, type ScalingRun } from './scaling-point.ts'

export const pointsFile = join(import.meta.dirname, '../../docs/benchmarks/scaling.json')

export interface PlanLine {
  readonly question: PlanQuestion
  /** What `npm run bench -- scaling` measured; its newest run is used. */
  readonly pointsFile: string
  readonly isJson: boolean
  /** Seconds of load under which the plan is tried on this machine; `undefined`: it is not. */
  readonly checkSeconds: number | undefined
}

const checkSecondsMax = 600
/** Less is mostly the warm-up. */
const checkSecondsMin = 5

export function planHelp(): string {
  const flags = planFlags.map((flag) => {
    const { meaning, standard } = planOptions[flag]
    return `  --${`${flag} <n>`.padEnd(24)}${meaning} (${standard})`
  })
  return `Usage: npm run loadtest -- --plan [options]

Says what a cluster needs for a load: cores, memory, disk, brokers and shards, from the model that is fitted to the points of
\`npm run bench -- scaling\`. docs/SCALING.md says how far it is to be believed. Numbers may be written as 10e6.

${flags.join('\n')}
  --${'points <file.json>'.padEnd(24)}points to fit (docs/benchmarks/scaling.json)
  --${'check <seconds>'.padEnd(24)}also run what is planned under that load on this machine, where it fits, and show both (${checkSecondsMin} to ${checkSecondsMax})
  --${'json'.padEnd(24)}the plan as JSON

Exit code: 0 answered; 2 an option or the points are faulty, or the run of a check failed.`
}

/** True if the arguments ask for a plan. */
export function isPlanLine(args: readonly string[]): boolean {
  return args.includes('--plan')
}

/** @returns undefined if help is asked for @throws LOADTEST_OPTIONS_INVALID with all faults */
export function planLineOf(args: readonly string[]): PlanLine | undefined {
  const line = new LineReader(args, flags)
  line.assertFaultless()
  if (line.isSet('help')) return undefined
  const asked: Partial<Record<PlanFlag, number>> = {}
  for (const flag of planFlags) {
    const { min, max } = planOptions[flag]
    const value = line.number(flag, min, max)
    if (value !== undefined) asked[flag] = value
  }
  const checkSeconds = line.number('check', checkSecondsMin, checkSecondsMax)
  line.assertFaultless()
  return {
    question: planQuestion(asked),
    pointsFile: line.text('points') ?? pointsFile,
    isJson: line.isSet('json'),
    checkSeconds,
  }
}

/** The answer as text. @throws LOADTEST_OPTIONS_INVALID, LOADTEST_MODEL_UNFITTED; as `checkPlan`, if a check is asked for */
export async function answerOf({ question, pointsFile: file, isJson, checkSeconds }: PlanLine): Promise<string> {
  const run = runAt(file)
  const model = fitModel(run.points)
  const plan = planOf(model, question)
  const check = checkSeconds === undefined ? undefined : await checkPlan(model, question, checkSeconds)
  if (isJson) return JSON.stringify({ ...plan, check }, null, 2)
  const of = `model of ${run.machine}, measured ${run.startedAt.slice(0, 10)}; docs/SCALING.md says what of this is extrapolated`
  return [planScreen(plan), of, ...(check === undefined ? [] : [checkTable(check)])].join('\n\n')
}

/** @throws LOADTEST_OPTIONS_INVALID */
function runAt(file: string): ScalingRun {
  try {
    return newestRunOf(readFileSync(file, 'utf8'), file)
  } catch (cause) {
    if (isPenstockError(cause)) throw cause
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--points ${file}: cannot be read`, { cause })
  }
}

function planScreen(plan: Plan): string {
  const { question } = plan
  const cells = planRows(plan)
  const widths = planColumns.map((name, column) =>
    Math.max(name.length, ...cells.map((row) => row[column]?.length ?? 0)),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
  const assumptions = planFlags.map((flag) => `${flag} ${short(question[flag])}`)
  return [
    planSentence(plan),
    '',
    line(planColumns),
    ...cells.map(line),
    '',
    ...plan.hints.map((hint) => `! ${hint}`),
    `assumed: ${assumptions.join(', ')}`,
  ].join('\n')
}

/** What the parts share. */
export function planSentence({ question, partitions, shards, messagesABatch, rowsAnInsert, work }: Plan): string {
  return `${short(question.rate)} messages/s of ${short(question.body)} bytes from ${short(question.devices)} devices: ${count(partitions)} partitions, ${count(shards)} ClickHouse ${shards === 1 ? 'shard' : 'shards'}, ${short(messagesABatch)} messages a batch (${short(work.batchesPerSecond)} batches/s), ${short(rowsAnInsert)} rows an insert, ${bytes(work.logBytesPerSecond)}/s onto the log before its copies`
}

export const planColumns = ['part', 'count', 'bound by', 'cores busy', 'memory', 'disk', 'machines']

export function planRows({ parts }: Plan): string[][] {
  return parts.map(({ name, count: number, boundBy, cores, memoryBytes, diskBytes, nodes }) => [
    name,
    count(number),
    boundBy,
    cores === undefined ? 'not measured' : short(cores),
    memoryBytes === undefined ? 'not measured' : bytes(memoryBytes),
    diskBytes === 0 ? '–' : diskBytes >= 1e12 ? `${short(diskBytes / 1e12)} TB` : bytes(diskBytes),
    count(nodes),
  ])
}

const flags = {
  ...(Object.fromEntries(planFlags.map((flag) => [flag, { type: 'string' }])) as Record<PlanFlag, { type: 'string' }>),
  plan: { type: 'boolean' },
  points: { type: 'string' },
  check: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const
