/** What a cluster needs for a load, from the model and from assumptions that an operator may change (`plan-question.ts`). */
import { limits } from '#schemas/limits.ts'
import { costOf, predict, type ScalingModel } from './model.ts'
import type { PlanQuestion } from './plan-question.ts'
import type { Work } from './scaling-point.ts'

export interface PlanPart {
  readonly name: string
  /** Processes, brokers or servers, copies counted. */
  readonly count: number
  /** What asks for so many. */
  readonly boundBy: string
  /** Used on average; undefined: not measured. */
  readonly cores: number | undefined
  readonly memoryBytes: number | undefined
  readonly diskBytes: number
  readonly nodes: number
}

export interface Plan {
  readonly question: PlanQuestion
  readonly work: Work
  readonly partitions: number
  readonly shards: number
  readonly messagesABatch: number
  readonly rowsAnInsert: number
  readonly parts: readonly PlanPart[]
  /** What a reader should mind at these numbers. */
  readonly hints: readonly string[]
}

const partitionsMin = 4
/** `PENSTOCK_CREDENTIALS_CACHED`: so many devices an edge, 1 KB each. */
const credentialsCached = 200_000
const credentialBytes = 1_024
/** More processes make smaller batches, which need more processes; it ends, since a batch has at least one message. */
const roundsMax = 1_000
const gigabyte = 2 ** 30
const terabyte = 1e12

/** Messages a batch below which the cost of batches outgrows that of messages. */
export const batchMessagesMin = 50

interface Size {
  readonly edges: number
  readonly workers: number
  readonly partitions: number
  readonly shards: number
}

export function planOf(model: ScalingModel, question: PlanQuestion): Plan {
  const size = settledSize(model, question)
  const work = workOf(model, question, size)
  const { edges, partitions, shards } = size
  const messagesABatch = question.rate === 0 ? 0 : question.rate / work.batchesPerSecond
  const rowsAnInsert = question.rate === 0 ? 0 : question.rate / work.insertsPerSecond
  const parts = partsOf(model, question, size, work)
  const hints = hintsOf(question, { messagesABatch, edges, partitions })
  return { question, work, partitions, shards, messagesABatch, rowsAnInsert, parts, hints }
}

/** The size whose own work asks for no more than it has. */
function settledSize(model: ScalingModel, question: PlanQuestion): Size {
  let size: Size = { edges: 1, workers: 1, partitions: partitionsMin, shards: 1 }
  for (let round = 0; round < roundsMax; round++) {
    const next = sizeFor(model, question, size)
    const isSettled = next.edges === size.edges && next.workers === size.workers && next.shards === size.shards
    if (isSettled && next.partitions === size.partitions) break
    size = next
  }
  return size
}

function partsOf(model: ScalingModel, question: PlanQuestion, size: Size, work: Work): PlanPart[] {
  const { edges, workers, shards } = size
  const replicas = question['table-replicas']
  const cores = coresOf(model, question, work)
  const memory = memoryOf(model, question, size, work)
  const logDisk = work.logBytesPerSecond * question['retention-hours'] * 3600 * question['log-replicas']
  const brokers = brokersNeeded(question, work, logDisk)
  return [
    {
      name: 'edge processes',
      count: edges,
      boundBy: boundOf(edgesNeeded(question, cores.edge)),
      cores: cores.edge,
      memoryBytes: memory.edge,
      diskBytes: 0,
      nodes: nodesFor(question, edges, memory.edge),
    },
    {
      name: 'workers',
      count: workers,
      boundBy: boundOf(workersNeeded(question, cores.worker)),
      cores: cores.worker,
      memoryBytes: memory.worker,
      diskBytes: 0,
      nodes: nodesFor(question, workers, memory.worker),
    },
    {
      ...notMeasured,
      name: 'Kafka brokers',
      count: most(brokers),
      boundBy: boundOf(brokers),
      diskBytes: logDisk,
      nodes: most(brokers),
    },
    {
      name: 'ClickHouse servers',
      count: shards * replicas,
      boundBy: boundOf(shardsNeeded(model, question, work, cores.warehouse)),
      // What one replica inserted the others fetch and merge: less than this, but not measured.
      cores: cores.warehouse * replicas,
      memoryBytes: memory.warehouse,
      diskBytes: tableBytesOf(model, question) * replicas,
      nodes: shards * replicas,
    },
    {
      ...notMeasured,
      name: 'control store',
      count: 1,
      boundBy: 'devices',
      diskBytes: question.devices * question['device-bytes'],
      nodes: 1,
    },
  ]
}

const notMeasured = { cores: undefined, memoryBytes: undefined } as const

function memoryOf(model: ScalingModel, question: PlanQuestion, { edges }: Size, work: Work) {
  return {
    edge:
      predict(model, 'edgeMemory', work) +
      predict(model, 'kernelMemory', work) +
      edges * Math.min(credentialsCached, question.devices / edges) * credentialBytes,
    worker: predict(model, 'workerMemory', work),
    warehouse: predict(model, 'warehouseMemory', work) * question['table-replicas'],
  }
}

/** Machines for so many processes of one core each, and their memory. */
function nodesFor(question: PlanQuestion, processes: number, memoryBytes: number): number {
  const memoryBytesMax = question['node-gigabytes'] * gigabyte * (1 - question.headroom)
  return Math.ceil(Math.max(processes / question['node-cores'], memoryBytes / memoryBytesMax))
}

/** What the work of a size asks for; never less than that size, so that repeating it ends. */
function sizeFor(model: ScalingModel, question: PlanQuestion, size: Size): Size {
  const work = workOf(model, question, size)
  const cores = coresOf(model, question, work)
  const workers = Math.max(size.workers, most(workersNeeded(question, cores.worker)))
  return {
    edges: Math.max(size.edges, most(edgesNeeded(question, cores.edge))),
    workers,
    // A partition has one worker.
    partitions: Math.max(
      size.partitions,
      2 ** Math.ceil(Math.log2(Math.max(1, workers, question.rate / question['partition-rate']))),
    ),
    shards: Math.max(size.shards, most(shardsNeeded(model, question, work, cores.warehouse))),
  }
}

/** How many of a part each of its bounds asks for. */
type Needed = Readonly<Record<string, number>>

function most(needed: Needed): number {
  return Math.max(...Object.values(needed))
}

function boundOf(needed: Needed): string {
  return Object.keys(needed).find((bound) => needed[bound] === most(needed)) ?? ''
}

function edgesNeeded(question: PlanQuestion, cores: number): Needed {
  const free = 1 - question.headroom
  return { connections: Math.ceil(question.devices / question['edge-connections']), CPU: Math.ceil(cores / free) }
}

function workersNeeded(question: PlanQuestion, cores: number): Needed {
  return { CPU: Math.max(1, Math.ceil(cores / (1 - question.headroom))) }
}

function shardsNeeded(model: ScalingModel, question: PlanQuestion, work: Work, cores: number): Needed {
  const free = 1 - question.headroom
  return {
    CPU: Math.max(1, Math.ceil(cores / (question['node-cores'] * free))),
    inserts: Math.ceil(work.insertsPerSecond / question['shard-inserts']),
    disk: Math.ceil(tableBytesOf(model, question) / (question['node-terabytes'] * terabyte * free)),
  }
}

function brokersNeeded(question: PlanQuestion, work: Work, logDisk: number): Needed {
  const free = 1 - question.headroom
  const replicas = question['log-replicas']
  return {
    copies: replicas,
    bytes: Math.ceil((work.logBytesPerSecond * replicas) / (question['broker-megabytes'] * 1e6 * free)),
    records: Math.ceil((work.batchesPerSecond * replicas) / (question['broker-batches'] * free)),
    disk: Math.ceil(logDisk / (question['node-terabytes'] * terabyte * free)),
  }
}

/**
 * The work of a second. A batch is open from its first message for the batch delay, so an edge makes one a partition every
 * delay + (time between messages there); an insert likewise. Both are also bounded by size.
 */
function workOf(model: ScalingModel, question: PlanQuestion, { edges, workers, partitions, shards }: Size): Work {
  const { rate, devices, body } = question
  const cyclesPerSecond = (delayMs: number, places: number, arrivals: number) =>
    arrivals === 0 ? 0 : 1 / (delayMs / 1000 / places + 1 / arrivals)
  const bodies = rate * body
  const batchesPerSecond = Math.max(
    cyclesPerSecond(question['batch-delay-ms'], edges * partitions, rate),
    bodies / limits.recordRawBytesMax,
    rate / limits.recordMessagesMax,
  )
  const insertsPerSecond = Math.max(
    cyclesPerSecond(question['insert-delay-ms'], partitions, batchesPerSecond),
    bodies / limits.insertBodyBytesMax,
    rate / limits.insertRowsMax,
  )
  const logBytesPerSecond =
    rate * costOf(model, 'logBytesPerSecond', 'messagesPerSecond') +
    batchesPerSecond * costOf(model, 'logBytesPerSecond', 'batchesPerSecond') +
    bodies * question['compressed-share']
  return {
    messagesPerSecond: rate,
    bodyBytesPerSecond: bodies,
    readsPerSecond: rate / question['messages-per-read'] + devices / question['keep-alive-seconds'],
    batchesPerSecond,
    logBytesPerSecond,
    rowsPerSecond: rate,
    rowBytesPerSecond: bodies,
    insertsPerSecond,
    connections: devices,
    edges,
    workers,
    warehouses: shards,
    edgesBusy: edges,
    workersBusy: workers,
    warehousesBusy: shards,
  }
}

function coresOf(model: ScalingModel, question: PlanQuestion, work: Work) {
  const speed = question['core-speed']
  return {
    edge: predict(model, 'edgeCores', work) / speed,
    worker: predict(model, 'workerCores', work) / speed,
    warehouse: predict(model, 'warehouseCores', work) / speed,
  }
}

/** One copy. */
function tableBytesOf(model: ScalingModel, question: PlanQuestion): number {
  const perRow =
    costOf(model, 'clickhouseBytesPerSecond', 'rowsPerSecond') + question.body * question['compressed-share']
  return question.rate * perRow * question['table-days'] * 86_400
}

function hintsOf(
  question: PlanQuestion,
  { messagesABatch, edges, partitions }: { messagesABatch: number; edges: number; partitions: number },
): string[] {
  const hints: string[] = []
  if (question.rate > 0 && messagesABatch < batchMessagesMin)
    hints.push(
      `a batch has only ${messagesABatch.toFixed(1)} messages, since ${edges} edges × ${partitions} partitions share them: a longer --batch-delay-ms, or fewer and larger edges and partitions, costs less`,
    )
  if (edges > question['node-cores'])
    hints.push(
      'edges on several machines: a take-over is told among them through PostgreSQL, with required identities only',
    )
  return hints
}
