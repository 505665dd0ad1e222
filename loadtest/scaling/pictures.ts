/** The pictures of docs/SCALING.md. */

import { count, tick } from '#loadtest/options/figures.ts'
import type { Point, Series } from '../report/chart.ts'
import { chartFile } from '../report/chart-file.ts'
import { deviationsOf, predict, quantities, type ScalingModel } from './model.ts'
import type { Quantity, ScalingPoint, Sweep } from './scaling-point.ts'

export interface Picture {
  /** In docs/scaling. */
  readonly file: string
  readonly title: string
  readonly svg: string
}

type PointValue = (point: ScalingPoint) => number
const roles: readonly (readonly [string, Quantity, number])[] = [
  ['edge', 'edgeCores', 1],
  ['worker', 'workerCores', 2],
  ['warehouse', 'warehouseCores', 3],
]

export function picturesOf(points: readonly ScalingPoint[], model: ScalingModel): readonly Picture[] {
  return [
    throughputByConnections(points, model),
    memoryByConnections(points, model),
    costBy(
      'messages a read',
      'messages a device sends together',
      'cpu-messages-per-read',
      ({ load }) => load.burst,
      points,
      model,
    ),
    costBy('body size', 'bytes', 'cpu-body-size', ({ load }) => load.bodyBytes, points, model),
    costBy('partitions', 'partitions', 'cpu-partitions', ({ load }) => load.partitions, points, model),
    predictedByMeasured(points, model),
  ].filter(({ svg }) => svg !== '')
}

function throughputByConnections(points: readonly ScalingPoint[], model: ScalingModel): Picture {
  const shown = ofSweep(points, 'connections', ({ load }) => load.connections)
  const capacity =
    (cores: PointValue): PointValue =>
    (point) =>
      point.work.messagesPerSecond / cores(point)
  return drawn('throughput-connections', {
    title: 'Messages a second that one core of the edge carries, by connections',
    note: 'one message a read; as many edge processes as their open files ask for',
    shown,
    x: ({ load }) => load.connections,
    lines: [
      { name: 'measured', color: 1, y: capacity(({ measured }) => measured.edgeCores ?? 0) },
      { name: 'model', color: 1, isDashed: true, y: capacity(({ work }) => predict(model, 'edgeCores', work)) },
    ],
  })
}

function memoryByConnections(points: readonly ScalingPoint[], model: ScalingModel): Picture {
  const idle = ofSweep(points, 'idle', ({ load }) => load.connections)
  const busy = ofSweep(points, 'connections', ({ load }) => load.connections)
  const of =
    (name: Quantity): PointValue =>
    ({ measured }) =>
      (measured[name] ?? 0) / 2 ** 20
  const modelled =
    (name: Quantity): PointValue =>
    ({ work }) =>
      predict(model, name, work) / 2 ** 20
  return drawn('memory-connections', {
    title: 'Memory by connections, MB',
    note: 'all edge processes together; the kernel’s beside it is of one end of each connection',
    shown: idle,
    x: ({ load }) => load.connections,
    lines: [
      { name: 'edges, idle', color: 1, y: of('edgeMemory') },
      { name: 'model', color: 1, isDashed: true, y: modelled('edgeMemory') },
      { name: 'edges with messages', color: 3, y: of('edgeMemory'), shown: busy },
      { name: 'model', color: 3, isDashed: true, y: modelled('edgeMemory'), shown: busy },
      { name: 'kernel', color: 4, y: of('kernelMemory') },
    ],
  })
}

function costBy(
  sweep: Sweep,
  unit: string,
  file: string,
  x: PointValue,
  points: readonly ScalingPoint[],
  model: ScalingModel,
): Picture {
  const shown = ofSweep(points, sweep, x)
  return drawn(file, {
    title: `CPU of a message by ${sweep}, µs`,
    note: `${unit}; solid: measured, dotted: model`,
    shown,
    x,
    lines: roles.flatMap(([name, quantity, color]) => {
      const done = (point: ScalingPoint) =>
        quantity === 'warehouseCores' ? point.work.rowsPerSecond : point.work.messagesPerSecond
      return [
        { name, color, y: (point) => ((point.measured[quantity] ?? 0) / done(point)) * 1e6 },
        {
          name: `${name}, model`,
          color,
          isDashed: true,
          y: (point) => (predict(model, quantity, point.work) / done(point)) * 1e6,
        },
      ] satisfies Line[]
    }),
  })
}

function predictedByMeasured(points: readonly ScalingPoint[], model: ScalingModel): Picture {
  const cores = deviationsOf(model, points).filter(
    ({ quantity, measured, predicted }) => quantities[quantity].unit === 'cores' && measured > 0.01 && predicted > 0.01,
  )
  const axis = logAxis(cores.flatMap(({ measured, predicted }) => [measured, predicted]))
  const series = roles.map(
    ([name, quantity, color]): Series => ({
      name,
      color,
      isScatter: true,
      points: cores
        .filter((each) => each.quantity === quantity && each.point.sweep !== 'held out')
        .map(({ measured, predicted }) => ({ x: axis.at(measured), y: predicted })),
    }),
  )
  const heldOut = cores
    .filter(({ point }) => point.sweep === 'held out')
    .map(({ measured, predicted }) => ({ x: axis.at(measured), y: predicted }))
  const title = 'Cores predicted by cores measured'
  return {
    file: 'predicted-measured.svg',
    title,
    svg: chartFile({
      title,
      note: 'each point of each role; on the dotted line the model is right',
      series: [
        {
          name: 'equal',
          color: 0,
          isDashed: true,
          points: axis.ends.map((value) => ({ x: axis.at(value), y: value })),
        },
        ...series,
        { name: 'not fitted to', color: 5, isScatter: true, points: heldOut },
      ],
      x: axis.name,
      y: tick,
      xTicks: axis.ticks,
      isLogY: true,
    }),
  }
}

interface Line {
  readonly name: string
  readonly color: number
  readonly isDashed?: boolean
  readonly y: PointValue
  /** Other points than the picture's. */
  readonly shown?: readonly ScalingPoint[]
}

interface Drawing {
  readonly title: string
  readonly note: string
  readonly shown: readonly ScalingPoint[]
  readonly x: PointValue
  readonly lines: readonly Line[]
}

function drawn(name: string, { title, note, shown, x, lines }: Drawing): Picture {
  const axis = logAxis(lines.flatMap((line) => (line.shown ?? shown).map(x)))
  const series = lines.map((line): Series => {
    const points = (line.shown ?? shown)
      .map((point): Point => ({ x: axis.at(x(point)), y: line.y(point) }))
      .filter(({ y }) => Number.isFinite(y) && y > 0)
    return { name: line.name, color: line.color, points, ...(line.isDashed ? { isDashed: true } : {}) }
  })
  const svg = chartFile({
    title,
    note,
    series,
    x: axis.name,
    y: tick,
    xTicks: axis.ticks,
    isLogY: true,
  })
  return { file: `${name}.svg`, title, svg }
}

/** Ascending, the first for each x: charts draw lines from left to right. */
function ofSweep(points: readonly ScalingPoint[], sweep: Sweep, x: PointValue): readonly ScalingPoint[] {
  const byX = new Map<number, ScalingPoint>()
  for (const point of points) if (point.sweep === sweep && !byX.has(x(point))) byX.set(x(point), point)
  return [...byX].sort(([a], [b]) => a - b).map(([, point]) => point)
}

/** Places on a chart's linear axis whose steps are factors, from the smallest value on, which the chart calls 0. */
function logAxis(values: readonly number[]) {
  const sorted = [...new Set(values)].sort((a, b) => a - b)
  const hasTickEach = sorted.length <= 8
  const [first = 1, last = 1] = [sorted[0], sorted.at(-1)]
  const min = hasTickEach ? first : 10 ** Math.floor(Math.log10(first))
  const at = (value: number) => Math.log10(value / min)
  const decades = Array.from({ length: Math.ceil(at(last)) + 1 }, (_, index) => index)
  const name = (place: number) => {
    const value = min * 10 ** place
    // 65,536 as it is, 100,000 as 100 k.
    return value > 1 && Math.round(value) % 1_000 !== 0 ? count(value) : tick(value)
  }
  return { at, ends: [min, last], ticks: hasTickEach ? sorted.map(at) : decades, name }
}
