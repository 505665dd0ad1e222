/** docs/SCALING.md from the newest run of the sweep: every figure is computed, the words hold for any. */
import { bytes, count, percent, short } from '#loadtest/options/figures.ts'
import { capabilitiesText, costsText } from './costs.ts'
import { type Deviation, deviationsOf, fitModel, quantities, quantityNames, type ScalingModel } from './model.ts'
import { picturesOf } from './pictures.ts'
import { batchMessagesMin, planOf } from './plan.ts'
import { planColumns, planRows, planSentence } from './plan-line.ts'
import { type PlanQuestion, planFlags, planOptions, planQuestion } from './plan-question.ts'
import { type PointLoad, type ScalingPoint, type ScalingRun, sweeps, type Work } from './scaling-point.ts'

/** What one of a term is called, and whether it is an event or something held. */
const termNames: Readonly<Record<keyof Work, { readonly name: string; readonly isHeld?: boolean }>> = {
  messagesPerSecond: { name: 'message' },
  bodyBytesPerSecond: { name: 'byte of a body' },
  readsPerSecond: { name: 'read of a socket, with the PUBACKs that answer it' },
  batchesPerSecond: { name: 'batch on the log' },
  logBytesPerSecond: { name: 'byte on the log' },
  rowsPerSecond: { name: 'row' },
  rowBytesPerSecond: { name: 'byte of a row’s body' },
  insertsPerSecond: { name: 'insert' },
  connections: { name: 'connection', isHeld: true },
  edges: { name: 'edge process', isHeld: true },
  workers: { name: 'worker process', isHeld: true },
  warehouses: { name: 'ClickHouse server', isHeld: true },
  edgesBusy: { name: 'edge process that takes messages, more', isHeld: true },
  workersBusy: { name: 'worker process that delivers, more', isHeld: true },
  warehousesBusy: { name: 'ClickHouse server that inserts, more', isHeld: true },
}

/** The model as table rows: quantity, for each, what it takes. */
export function modelRows(model: ScalingModel): string[][] {
  return quantityNames.flatMap((quantity) =>
    quantities[quantity].terms.map((term, index) => {
      const { name, isHeld = false } = termNames[term]
      const cost = model[quantity][index] ?? 0
      return [quantities[quantity].title, name, costText(cost, quantities[quantity].unit, isHeld)]
    }),
  )
}

/** A core for a message a second is a second of CPU a message. */
function costText(cost: number, unit: 'cores' | 'bytes' | 'bytes/s', isHeld: boolean): string {
  if (cost === 0) return '0'
  if (unit !== 'cores') return cost < 2 ** 20 ? `${short(cost)} B` : bytes(cost)
  if (isHeld) return cost < 1e-3 ? `${precise(cost * 1e6)} millionths of a core` : `${precise(cost)} cores`
  if (cost >= 1e-3) return `${precise(cost * 1e3)} ms`
  return cost < 1e-7 ? `${precise(cost * 1e9)} ns` : `${precise(cost * 1e6)} µs`
}

function precise(value: number): string {
  return String(Number(value.toPrecision(3)))
}

export interface ScalingDocument {
  readonly markdown: string
  /** Text of files in docs/scaling. */
  readonly pictures: ReadonlyMap<string, string>
}

/** @throws LOADTEST_MODEL_UNFITTED */
export function scalingDocument(run: ScalingRun): ScalingDocument {
  const { points } = run
  const model = fitModel(points)
  const pictures = picturesOf(points, model)
  const markdown = [
    introductionText(run),
    picturesText(pictures),
    modelText(model),
    checkText(points, model),
    clusterText(model),
    capabilitiesText(),
    costsText(model),
    extrapolatedText(run),
    boundsText(),
    pointsText(points),
  ].join('')
  return { markdown, pictures: new Map(pictures.map(({ file, svg }) => [file, svg])) }
}

function introductionText(run: ScalingRun): string {
  const { points } = run
  const limits = Object.entries(run.limits).map(([name, value]) => `${name} ${value}`)
  return `# How Penstock scales

This page says what a cluster needs for a load. Penstock was measured on one machine. A small model was fitted to the points, checked by runs it was not
fitted to, and extrapolated to clusters. For another load: \`npm run loadtest -- --plan --rate 10e6 --devices 100e6 --body 200\` (\`--plan --help\`).
\`npm run bench -- scaling\` writes this page and its pictures. The points are in [benchmarks/scaling.json](benchmarks/scaling.json).

${run.startedAt.slice(0, 16).replace('T', ' ')} UTC, commit ${run.commit}. ${run.machine}. ${points.length} points, each a fresh Penstock on the embedded log and engine
with ${run.secondsAPoint} s of load at QoS 1. The generator and everything else share the CPUs. Connecting, the first seconds and closing are not measured.
Limits: ${limits.join(', ')}.${doubtOf(points)}${listOf('\n\nNot done on this machine:', run.skipped)}

`
}

function picturesText(pictures: ReturnType<typeof picturesOf>): string {
  return `## Pictures

${pictures.map(({ file, title }) => `![${title}](scaling/${file})`).join('\n\n')}

`
}

function modelText(model: ScalingModel): string {
  return `## The model

The model is a sum of costs, none of them negative (least squares of relative errors). A cost of 0 means that the points do not separate it from the others.
A read is one turn of a device: the messages that arrive together share its cost.
Reads are counted as the generator's writes, not in the edge.

${table(['quantity', 'for each', 'takes'], modelRows(model))}

The load test's bodies are JSON with digits that change and a filler that does not. They compress well, so the bytes on disk hold for such bodies only. The
generator's smallest body has 48 bytes. Memory is what a process holds for itself, without pages of mapped files. The kernel's memory is the growth of its
objects, halved, since both ends of each connection are on this machine.

`
}

function checkText(points: readonly ScalingPoint[], model: ScalingModel): string {
  const isHeldOut = ({ sweep }: ScalingPoint) => sweep === 'held out'
  const heldOut = deviationsOf(model, points.filter(isHeldOut))
  const fitted = deviationsOf(
    model,
    points.filter((point) => !isHeldOut(point)),
  )
  return `## Check

These runs combine parameters in other ways than the sweep. The model was not fitted to them:

${table(['load', 'quantity', 'measured', 'predicted', 'error'], heldOut.map(deviationRow))}

${errorsOf('Not fitted to', heldOut)} ${errorsOf('Fitted', fitted)}

Here the model is given the batches, reads and inserts that were measured. A plan has to know them by itself: \`--plan --check 60\` runs what it plans, where one machine is
large enough. [What that showed](benchmarks/plan-checks.md).

`
}

function clusterText(model: ScalingModel): string {
  return `## What a cluster needs

These are answers of \`--plan\` with its standard assumptions, except where a line of options says otherwise:

${table(
  ['assumption', 'value', 'meaning'],
  planFlags.map((flag) => [`\`--${flag}\``, short(planOptions[flag].standard), planOptions[flag].meaning]),
)}

${answers.map(({ title, question }) => answerText(title, model, planQuestion(question))).join('\n')}
`
}

function extrapolatedText({ points, limits }: ScalingRun): string {
  const upTo = (value: (point: ScalingPoint) => number) => count(most(points, value))
  return `## What was measured, and what is extrapolated

| | measured here | extrapolated |
|---|---|---|
| connections | up to ${upTo(({ load }) => load.connections)} on ${upTo(({ load }) => load.edges)} edge processes | that each costs the same in a fleet, over a network, with TLS and identities (all off here) |
| messages | up to ${short(most(points, ({ work }) => work.messagesPerSecond))}/s, rows up to ${short(most(points, ({ work }) => work.rowsPerSecond))}/s | that processes on more machines add up |
| partitions | up to ${upTo(({ load }) => load.partitions)} | more of them; batches a second by PENSTOCK_BATCH_DELAY_MS, edges and partitions |
| processes | up to ${upTo(({ load }) => load.edges)} edges and ${upTo(({ load }) => load.workers)} workers on ${limits.CPUs ?? 'these'} CPUs: their CPU a message was measured, not a speed-up | their number |
| Kafka | nothing; the log was the embedded one ([benchmarks/n8-kafka.md](benchmarks/n8-kafka.md) compares both) | brokers, from assumed bytes, records and disk |
| ClickHouse | one embedded engine | shards and replicas; a replica is counted as if it inserted all rows itself |
| disk | bytes of these bodies | other bodies by \`--compressed-share\`; merges and indexes over days |
| control store | bytes of a device ([benchmarks/registry.md](benchmarks/registry.md)) | a fleet's registry, all devices coming back at once |

`
}

/** What no number of machines helps with. */
function boundsText(): string {
  return `## What does not scale

- **The embedded log, engine and store** serve one machine. For more machines use Kafka, ClickHouse and PostgreSQL.
- **Edges × partitions.** Each edge fills a batch of each partition. So batches get small as both numbers grow, and a batch costs far more than a message.
  Below ${batchMessagesMin} messages a batch \`--plan\` says so. A longer PENSTOCK_BATCH_DELAY_MS gives larger batches and costs latency.
- **One table takes ${planOptions['shard-inserts'].standard} inserts a second**; with more, ClickHouse forgets deduplication tokens too soon. For each shard, partitions ÷ PENSTOCK_INSERT_DELAY_MS must stay below it.
- **A worker writes to one ClickHouse address.** Shards beyond the first need one of two things: something that spreads the inserts, and answers for all
  shards when an open intent is replayed; or several installations, each with its share of the devices.
- **A take-over** goes through the one supervisor of a machine, which tells every other edge process. So its messages grow with connects × edges. Edges on
  different machines are told through PostgreSQL: where identities are required, each edge gets every connect of the fleet, some 250 in a notification.
- **Statistics of the registry** count all rows, so their time grows with the devices (benchmarks/registry.md).
- **Partitions grow, and never become fewer** ([OPERATIONS.md](OPERATIONS.md#more-partitions)). A device is in one at a time, so no device is faster than its partition.
- **One edge process** reads on one core. The operating system's limit of open files bounds its connections.

`
}

function pointsText(points: readonly ScalingPoint[]): string {
  return `## All points

${table(
  [
    'sweep',
    'load',
    'messages/s',
    'rows/s',
    'edge cores',
    'worker cores',
    'warehouse cores',
    'edge MB',
    'batches/s',
    'inserts/s',
    '',
  ],
  sweeps.flatMap((sweep) => points.filter((point) => point.sweep === sweep)).map(pointRow),
)}

A * in the last column marks a point at which the generator itself was late. Its load was then uneven; its counts are right.
`
}

const answers: readonly { readonly title: string; readonly question: Partial<PlanQuestion> }[] = [
  { title: '1 M messages/s, 100 k devices', question: { rate: 1e6, devices: 1e5, 'messages-per-read': 10 } },
  {
    title: '1 M messages/s, 1 M devices, one message a read',
    question: { rate: 1e6, devices: 1e6, 'batch-delay-ms': 100 },
  },
  {
    title: '10 M messages/s, 1 M devices, one message a read',
    question: { rate: 1e7, devices: 1e6, 'batch-delay-ms': 250 },
  },
  {
    title: '10 M messages/s, 1 M devices that send 64 together',
    question: { rate: 1e7, devices: 1e6, 'messages-per-read': 64, 'batch-delay-ms': 250 },
  },
  {
    title: '100 M devices, a message each every five minutes',
    question: { rate: 333_333, devices: 1e8, 'batch-delay-ms': 1_000 },
  },
  {
    title: '100 M devices, 10 M messages/s',
    question: { rate: 1e7, devices: 1e8, 'batch-delay-ms': 1_000 },
  },
]

function answerText(title: string, model: ScalingModel, question: PlanQuestion): string {
  const plan = planOf(model, question)
  const own = planFlags
    .filter((flag) => question[flag] !== planOptions[flag].standard)
    .map((flag) => `--${flag} ${question[flag]}`)
  return `### ${title}

\`${own.join(' ')}\`

${planSentence(plan)}.

${table(planColumns, planRows(plan))}${listOf('', plan.hints)}
`
}

function deviationRow({ point, quantity, measured, predicted, error }: Deviation): string[] {
  const { title, unit } = quantities[quantity]
  const text = (value: number) => (unit === 'cores' ? precise(value) : bytes(value) + (unit === 'bytes/s' ? '/s' : ''))
  return [loadText(point.load), title, text(measured), text(predicted), `${error > 0 ? '+' : ''}${percent(error)}`]
}

function errorsOf(which: string, deviations: readonly Deviation[]): string {
  const errors = deviations.map(({ error }) => Math.abs(error)).sort((a, b) => a - b)
  if (errors.length === 0) return `${which}: no points.`
  return `${which}: ${errors.length} figures, error ${percent(errors[errors.length >> 1] ?? 0)} in the median, ${percent(errors.at(-1) ?? 0)} at most.`
}

function pointRow({ sweep, load, work, measured, warnings }: ScalingPoint): string[] {
  const cores = (value: number | undefined) => (value === undefined ? '' : value.toFixed(2))
  return [
    sweep,
    loadText(load),
    short(work.messagesPerSecond),
    short(work.rowsPerSecond),
    cores(measured.edgeCores),
    cores(measured.workerCores),
    cores(measured.warehouseCores),
    count((measured.edgeMemory ?? 0) / 2 ** 20),
    short(work.batchesPerSecond),
    short(work.insertsPerSecond),
    warnings.length > 0 ? '*' : '',
  ]
}

/** What differs from one edge, one worker and four partitions. */
export function loadText({ connections, rate, burst, bodyBytes, partitions, edges, workers }: PointLoad): string {
  const parts = [`${count(connections)} connections`]
  if (rate === 0) parts.push('idle')
  else {
    parts.push(rate === 'saturate' ? 'saturating' : `${short(rate)}/s`, `${count(bodyBytes)} B`)
    if (burst > 1) parts.push(`${burst} together`)
  }
  if (partitions !== 4) parts.push(`${partitions} partition${partitions === 1 ? '' : 's'}`)
  if (edges > 1) parts.push(`${edges} edges`)
  if (workers > 1) parts.push(`${workers} workers`)
  return parts.join(', ')
}

/** More than these make the whole page doubtful, and its first lines must say so. */
const doubtfulShareMax = 0.25

function doubtOf(points: readonly ScalingPoint[]): string {
  const doubtful = points.filter(({ warnings }) => warnings.length > 0).length
  if (doubtful <= points.length * doubtfulShareMax) return ''
  return `\n\n**In ${doubtful} of ${points.length} points the generator itself was late: the machine was busy with other work, or too small. What follows is of such a\nmachine; measure again on a quiet one before planning with it.**`
}

function most(points: readonly ScalingPoint[], value: (point: ScalingPoint) => number): number {
  return Math.max(0, ...points.map(value))
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function listOf(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${title}\n\n${lines.map((line) => `- ${line}`).join('\n')}`
}
