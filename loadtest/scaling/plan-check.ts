/**
 * A plan beside a run that its model was not fitted to: what it plans is started on this machine and given the load that it is planned for. Unlike the
 * points of the sweep, which the model is given as they were measured, the plan has to know batches and inserts by itself.
 */
import { cpus } from 'node:os'
import { bytes, percent, short } from '#loadtest/options/figures.ts'
import { PenstockError } from '#schemas/errors.ts'
import { measurePoint } from './measure-point.ts'
import { predict, quantities, quantityNames, type ScalingModel } from './model.ts'
import { type Plan, planOf } from './plan.ts'
import type { PlanQuestion } from './plan-question.ts'
import type { PointLoad, ScalingPoint } from './scaling-point.ts'
import { openFilesMax, processesFor } from './sweep.ts'

export interface CheckedFigure {
  readonly name: string
  readonly unit: 'cores' | 'bytes' | 'bytes/s' | 'a second'
  readonly planned: number
  readonly measured: number
}

export interface PlanCheck {
  readonly figures: readonly CheckedFigure[]
  /** What makes the run doubtful. */
  readonly warnings: readonly string[]
}

/** A process has a core of its own in a plan; so many a core still show what each costs. */
const processesACoreMax = 2

/**
 * @param seconds of load
 * @throws LOADTEST_OPTIONS_INVALID if this machine is too small for the plan; as `measurePoint`
 */
export async function checkPlan(model: ScalingModel, asked: PlanQuestion, seconds: number): Promise<PlanCheck> {
  const question = onOneMachine(asked)
  const plan = planOf(model, question)
  const load = loadOf(plan)
  const point = await measurePoint({ sweep: 'held out', load }, 0, seconds, {
    PENSTOCK_BATCH_DELAY_MS: String(question['batch-delay-ms']),
    PENSTOCK_INSERT_DELAY_MS: String(question['insert-delay-ms']),
  })
  return { figures: checkedFigures(model, plan, point), warnings: point.warnings }
}

/** One copy of everything, and bodies that compress as the load test's do: to next to nothing. */
export function onOneMachine(question: PlanQuestion): PlanQuestion {
  return { ...question, 'compressed-share': 0, 'log-replicas': 1, 'table-replicas': 1 }
}

/** @throws LOADTEST_OPTIONS_INVALID */
export function loadOf({ question, work, partitions, shards }: Plan): PointLoad {
  const { edges, workers } = work
  const [processesMax, edgesMin] = [processesACoreMax * cpus().length, processesFor(question.devices, openFilesMax())]
  if (shards > 1 || edges + workers > processesMax || edgesMin > edges)
    throw new PenstockError(
      'LOADTEST_OPTIONS_INVALID',
      `--check: the plan has ${edges} edges, ${workers} workers and ${shards} ClickHouse shards for ${question.devices} devices; this machine may run ` +
        `${processesMax} of the processes, one shard, and needs ${edgesMin} edges for so many devices: ask for less`,
    )
  return {
    connections: question.devices,
    rate: question.rate,
    burst: question['messages-per-read'],
    bodyBytes: question.body,
    partitions,
    edges,
    workers,
  }
}

export function checkedFigures(model: ScalingModel, { question, work }: Plan, point: ScalingPoint): CheckedFigure[] {
  const events = (['messagesPerSecond', 'batchesPerSecond', 'insertsPerSecond'] as const).map((name): CheckedFigure => {
    const text = { messagesPerSecond: 'messages', batchesPerSecond: 'batches', insertsPerSecond: 'inserts' }[name]
    return { name: text, unit: 'a second', planned: work[name], measured: point.work[name] }
  })
  const costs = quantityNames.flatMap((name): CheckedFigure[] => {
    const { title, unit } = quantities[name]
    const measured = point.measured[name]
    if (measured === undefined) return []
    const speed = unit === 'cores' ? question['core-speed'] : 1
    return [{ name: title, unit, planned: predict(model, name, work) / speed, measured }]
  })
  return [...events, ...costs]
}

/** The figures as a table that docs/benchmarks/plan-checks.md keeps. */
export function checkTable({ figures, warnings }: PlanCheck): string {
  const rows = figures.map(({ name, unit, planned, measured }) => {
    const text = (value: number) =>
      unit === 'cores'
        ? value.toFixed(3)
        : unit === 'a second'
          ? short(value)
          : bytes(value) + (unit === 'bytes/s' ? '/s' : '')
    const error = measured === 0 ? '' : percent(planned / measured - 1)
    return `| ${name}${unit === 'a second' ? ', a second' : ''} | ${text(planned)} | ${text(measured)} | ${error} |`
  })
  const doubts = warnings.map((warning) => `! ${warning}`)
  return ['| | planned | measured | planned ÷ measured − 1 |', '|---|---|---|---|', ...rows, ...doubts].join('\n')
}
