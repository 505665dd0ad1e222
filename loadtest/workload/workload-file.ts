/** A workload file: several kinds of devices in one run, as `workload.schema.json` says. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { templateBody, templateFaults } from '#loadtest/generate/body-template.ts'
import type {
  ExchangeKind,
  LoadOptions,
  RateSegment,
  SlowReading,
  Storm,
  WorkloadKind,
} from '#loadtest/options/load-options.ts'
import { dataOfYaml } from '#runtime/yaml/yaml-text.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type JsonSchema, schemaFaults } from './json-schema.ts'
import { spikeSegments } from './shapes.ts'

/** A file as the schema has it. */
export interface WorkloadFile {
  readonly seconds?: number
  readonly seed?: number
  readonly warmUpSeconds?: number
  readonly slo?: string
  readonly workloads: readonly FileWorkload[]
}

interface FileWorkload {
  readonly name: string
  readonly kind?: WorkloadKind
  readonly url?: string
  readonly connections: number
  readonly connectRate?: number
  readonly qos?: 0 | 1
  readonly protocol?: 4 | 5
  readonly bodyBytes?: number
  readonly bodyTemplate?: string
  readonly rate?: number
  readonly saturate?: boolean
  readonly burst?: number
  readonly window?: number
  readonly processes?: number
  readonly delaySeconds?: number
  readonly skew?: number
  readonly shape?: FileShape
  readonly storms?: readonly Storm[]
  readonly slowReading?: readonly SlowReading[]
}

interface FileShape {
  readonly kind: 'steady' | 'ramp' | 'spike' | 'segments'
  readonly from?: number
  readonly to?: number
  readonly peak?: number
  readonly atSeconds?: number
  readonly forSeconds?: number
  readonly segments?: readonly RateSegment[]
}

const schemaFile = fileURLToPath(new URL('./workload.schema.json', import.meta.url))

/** @throws LOADTEST_OPTIONS_INVALID if it cannot be read, too */
export function workloadFileAt(file: string): WorkloadFile {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--workload ${file}: cannot be read`, { cause })
  }
  return workloadFileOf(text, file)
}

/** Reads and checks a file: YAML if it is named so, JSON otherwise. @throws LOADTEST_OPTIONS_INVALID with all faults and their places */
export function workloadFileOf(text: string, file: string): WorkloadFile {
  const found = dataOf(text, file)
  const schema = JSON.parse(readFileSync(schemaFile, 'utf8')) as JsonSchema
  const faults = schemaFaults(schema, found)
  const checked = faults.length === 0 ? (found as WorkloadFile) : undefined
  if (checked) faults.push(...checked.workloads.flatMap((workload, index) => meaningFaults(workload, index, checked)))
  if (!checked || faults.length > 0)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.map((fault) => `${file}: ${fault}`).join('\n'))
  return checked
}

function dataOf(text: string, file: string): unknown {
  if (/\.ya?ml$/i.test(file)) {
    const { data, faults } = dataOfYaml(text)
    if (faults.length === 0) return data
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.map((fault) => `${file}: not YAML: ${fault}`).join('\n'))
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', `${file}: not JSON: ${why}`, { cause })
  }
}

/** The file's workloads on top of what the command line says; their devices are numbered one after the other. */
export function workloadsOf(file: WorkloadFile, line: LoadOptions): LoadOptions[] {
  const seconds = file.seconds ?? line.seconds
  let firstDevice = line.firstDevice
  return file.workloads.map((workload) => {
    const { name, connections, saturate, shape, storms = [], slowReading = [], skew = 0, delaySeconds = 0 } = workload
    const rate = saturate === true ? 'saturate' : (workload.rate ?? line.rate)
    const options: LoadOptions = {
      ...line,
      url: workload.url ?? line.url,
      seed: file.seed ?? line.seed,
      warmUpSeconds: file.warmUpSeconds ?? line.warmUpSeconds,
      workload: name,
      kind: workload.kind ?? 'telemetry',
      connections,
      connectRate: workload.connectRate ?? line.connectRate,
      qos: workload.qos ?? line.qos,
      protocol: workload.protocol ?? line.protocol,
      ...bodyOf(workload, line),
      burst: workload.burst ?? line.burst,
      window: workload.window ?? line.window,
      processes: Math.min(workload.processes ?? 1, connections),
      rate,
      shape: shape && segmentsOfShape(shape, rate === 'saturate' ? 0 : rate, seconds - delaySeconds),
      seconds: seconds - delaySeconds,
      delaySeconds,
      skew,
      storms,
      slowReading,
      firstDevice,
    }
    firstDevice += connections
    return options
  })
}

/** Its own body, or none: then the command line's, whose template is for telemetry. */
function bodyOf(
  { kind = 'telemetry', bodyBytes, bodyTemplate }: FileWorkload,
  line: LoadOptions,
): Partial<Pick<LoadOptions, 'bodyBytes' | 'bodyTemplate'>> {
  if (bodyTemplate !== undefined) return templateBody(bodyTemplate)
  if (bodyBytes === undefined && kind !== 'telemetry') return { bodyBytes: line.bodyBytes, bodyTemplate: undefined }
  return bodyBytes === undefined ? {} : { bodyBytes, bodyTemplate: undefined }
}

/** What an operation may be long: a text of a twin, of which its filling is one; a payload; a command with its properties. */
const exchangeBytesMax: Readonly<Record<ExchangeKind, number>> = {
  reported: limits.twinTextBytesMax,
  desired: limits.twinTextBytesMax,
  methods: limits.methodPayloadBytesMax,
  commands: limits.commandBytesMax - 1024,
}

/** What the schema cannot say. */
function meaningFaults(workload: FileWorkload, index: number, { seconds, workloads }: WorkloadFile): string[] {
  const at = `workloads[${index}]`
  const faults: string[] = []
  const { shape, saturate, rate, bodyBytes, bodyTemplate, delaySeconds = 0, skew = 0, kind = 'telemetry' } = workload
  if (saturate && (rate !== undefined || shape !== undefined || skew > 0))
    faults.push(`${at}: saturate goes with neither rate, shape nor skew`)
  if (kind !== 'telemetry' && bodyBytes !== undefined && bodyBytes > exchangeBytesMax[kind])
    faults.push(`${at}.bodyBytes: ${bodyBytes} is more than ${kind} take, ${exchangeBytesMax[kind]}`)
  if (bodyBytes !== undefined && bodyTemplate !== undefined)
    faults.push(`${at}.bodyBytes: the body template says the size`)
  if (bodyTemplate !== undefined)
    faults.push(...templateFaults(bodyTemplate).map((fault) => `${at}.bodyTemplate: ${fault}`))
  if (seconds !== undefined && delaySeconds >= seconds)
    faults.push(`${at}.delaySeconds: ${delaySeconds} is not below the ${seconds} seconds of the run`)
  if (workloads.findIndex(({ name }) => name === workload.name) !== index)
    faults.push(`${at}.name: ${workload.name} is already the name of another`)
  const needs: Readonly<Record<FileShape['kind'], readonly (keyof FileShape)[]>> = {
    steady: [],
    ramp: ['from', 'to'],
    spike: ['peak', 'atSeconds', 'forSeconds'],
    segments: ['segments'],
  }
  if (!shape) return faults
  for (const name of needs[shape.kind])
    if (shape[name] === undefined) faults.push(`${at}.shape.${name}: is missing; a ${shape.kind} needs it`)
  for (const name of Object.keys(shape) as (keyof FileShape)[])
    if (name !== 'kind' && !needs[shape.kind].includes(name))
      faults.push(`${at}.shape.${name}: does not belong to a ${shape.kind}`)
  return faults
}

function segmentsOfShape(shape: FileShape, rate: number, seconds: number): readonly RateSegment[] | undefined {
  switch (shape.kind) {
    case 'steady':
      return undefined
    case 'ramp':
      return [{ seconds, from: shape.from ?? 0, to: shape.to ?? rate }]
    case 'spike':
      return spikeSegments(rate, shape.peak ?? rate, seconds, shape.atSeconds ?? 0, shape.forSeconds ?? seconds)
    case 'segments':
      return shape.segments
  }
}
