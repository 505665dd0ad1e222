/** What one run of the sweep measured, in the units of the model: work a second, and what it took. */
import { hasNumbers, hasTexts, isRecord, isTexts, jsonOrNothing } from '#loadtest/options/json-shape.ts'
import { PenstockError } from '#schemas/errors.ts'

/** What a point was told to do. */
export interface PointLoad {
  readonly connections: number
  /** 0: connections that send nothing. */
  readonly rate: number | 'saturate'
  /** Messages a device sends together, so that the edge finds them in one read. */
  readonly burst: number
  readonly bodyBytes: number
  readonly partitions: number
  readonly edges: number
  readonly workers: number
}

/** What costs something; the model's terms. Everything “a second” is a mean over the measured time. */
export interface Work {
  readonly messagesPerSecond: number
  /** Of bodies. */
  readonly bodyBytesPerSecond: number
  /** Reads of sockets by the edge. */
  readonly readsPerSecond: number
  /** Records appended to the log. */
  readonly batchesPerSecond: number
  readonly logBytesPerSecond: number
  readonly rowsPerSecond: number
  /** Of bodies. */
  readonly rowBytesPerSecond: number
  readonly insertsPerSecond: number
  readonly connections: number
  /** Processes. */
  readonly edges: number
  readonly workers: number
  readonly warehouses: number
  /** The same where messages flow, else 0. */
  readonly edgesBusy: number
  readonly workersBusy: number
  readonly warehousesBusy: number
}

/** What a model predicts. */
export type Quantity =
  | 'edgeCores'
  | 'workerCores'
  | 'warehouseCores'
  | 'edgeMemory'
  | 'workerMemory'
  | 'warehouseMemory'
  | 'kernelMemory'
  | 'logBytesPerSecond'
  | 'clickhouseBytesPerSecond'

/** Which question of the document a point answers. */
export const sweeps = [
  'idle',
  'connections',
  'messages a read',
  'body size',
  'partitions',
  'processes',
  'held out',
] as const
export type Sweep = (typeof sweeps)[number]

export interface ScalingPoint {
  readonly sweep: Sweep
  readonly load: PointLoad
  readonly seconds: number
  readonly work: Work
  /** Absent: not measured here, such as a disk without messages. */
  readonly measured: Readonly<Partial<Record<Quantity, number>>>
  /** What makes the point doubtful. */
  readonly warnings: readonly string[]
}

export interface ScalingRun {
  /** UTC. */
  readonly startedAt: string
  readonly commit: string
  readonly machine: string
  readonly limits: Readonly<Record<string, string>>
  /** Seconds of load a point, of which the warm-up is not measured. */
  readonly secondsAPoint: number
  /** Points this machine could not do, and why. */
  readonly skipped: readonly string[]
  readonly points: readonly ScalingPoint[]
}

/** Reads docs/benchmarks/scaling.json, oldest run first. @throws LOADTEST_OPTIONS_INVALID */
export function scalingRunsOf(text: string, file: string): readonly ScalingRun[] {
  const content = jsonOrNothing(text)
  if (Array.isArray(content) && content.every(isRun)) return content
  throw new PenstockError(
    'LOADTEST_OPTIONS_INVALID',
    `${file}: not a list of runs as \`npm run bench -- scaling\` writes them`,
  )
}

/** @throws LOADTEST_OPTIONS_INVALID */
export function newestRunOf(text: string, file: string): ScalingRun {
  const run = scalingRunsOf(text, file).at(-1)
  if (run === undefined) throw new PenstockError('LOADTEST_OPTIONS_INVALID', `${file}: has no run`)
  return run
}

function isRun(value: unknown): value is ScalingRun {
  return (
    hasTexts(value, 'startedAt', 'commit', 'machine') &&
    hasNumbers(value, 'secondsAPoint') &&
    isRecord(value.limits) &&
    isTexts(Object.values(value.limits)) &&
    isTexts(value.skipped) &&
    Array.isArray(value.points) &&
    value.points.every(isPoint)
  )
}

function isPoint(value: unknown): value is ScalingPoint {
  return (
    hasNumbers(value, 'seconds') &&
    sweeps.some((sweep) => sweep === value.sweep) &&
    isLoad(value.load) &&
    isTexts(value.warnings) &&
    isRecord(value.work) &&
    Object.values(value.work).every(Number.isFinite) &&
    isRecord(value.measured) &&
    Object.values(value.measured).every(Number.isFinite)
  )
}

function isLoad(value: unknown): value is PointLoad {
  return (
    hasNumbers(value, 'connections', 'burst', 'bodyBytes', 'partitions', 'edges', 'workers') &&
    (value.rate === 'saturate' || Number.isFinite(value.rate))
  )
}
