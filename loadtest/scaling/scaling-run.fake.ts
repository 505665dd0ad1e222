/** For tests: a run of the sweep whose measurements are the sum of given costs, so that the model can be asked to find them again. */
import { readsAMessage } from './measure-point.ts'
import { predict, quantityNames, type ScalingModel } from './model.ts'
import type { PointLoad, ScalingPoint, ScalingRun, Work } from './scaling-point.ts'
import { sweepPoints } from './sweep.ts'

export const knownCosts: ScalingModel = {
  edgeCores: [0.4e-6, 1e-9, 9e-6, 60e-6, 0.2e-6, 0.01],
  workerCores: [20e-6, 2e-9, 900e-6, 0.01],
  warehouseCores: [0.8e-6, 1.5e-9, 8e-3, 0.03],
  edgeMemory: [6_000, 90e6, 60e6],
  workerMemory: [80e6, 30e6],
  warehouseMemory: [100e6, 150e6],
  kernelMemory: [4_500],
  logBytesPerSecond: [8, 0.05, 400],
  clickhouseBytesPerSecond: [12, 0.04],
}

/** @param noise a factor on each measurement, such as `() => 1` */
export function fakeScalingRun(noise: () => number = () => 1): ScalingRun {
  return {
    startedAt: '2026-01-02T03:04:05.678Z',
    commit: 'abc1234',
    machine: '2 × Test CPU, 8 GB',
    limits: { CPUs: '2', 'open files (soft)': '20000' },
    secondsAPoint: 6,
    skipped: ['idle: a point: out of time'],
    points: sweepPoints(20_000).map(({ sweep, load }): ScalingPoint => {
      const work = workOf(load)
      const measured = quantityNames.map((name) => [name, predict(knownCosts, name, work) * noise()])
      return { sweep, load, seconds: 4, work, measured: Object.fromEntries(measured), warnings: [] }
    }),
  }
}

function workOf(load: PointLoad): Work {
  const { connections, edges, workers, partitions, bodyBytes } = load
  const rate = load.rate === 'saturate' ? 1e6 : load.rate
  const busy = rate === 0 ? 0 : 1
  const batchesPerSecond = busy && 1 / (0.01 / (edges * partitions) + 1 / rate)
  return {
    messagesPerSecond: rate,
    bodyBytesPerSecond: rate * bodyBytes,
    readsPerSecond: rate * readsAMessage(load),
    batchesPerSecond,
    logBytesPerSecond: rate * (8 + 0.05 * bodyBytes) + batchesPerSecond * 400,
    rowsPerSecond: rate,
    rowBytesPerSecond: rate * bodyBytes,
    insertsPerSecond: busy && 1 / (0.25 / partitions + 1 / batchesPerSecond),
    connections,
    edges,
    workers,
    warehouses: 1,
    edgesBusy: edges * busy,
    workersBusy: workers * busy,
    warehousesBusy: busy,
  }
}
