/**
 * What a second of work takes, as a sum of a few costs that can be read: cores = Σ cost × work a second, memory = Σ bytes × what is
 * held. No product of two kinds of work, no power: what such a sum misses shows in the points it was not fitted to.
 */
import { PenstockError } from '#schemas/errors.ts'
import { nonNegativeLeastSquares } from './least-squares.ts'
import type { Quantity, ScalingPoint, Work } from './scaling-point.ts'

export interface QuantityShape {
  readonly title: string
  readonly unit: 'cores' | 'bytes' | 'bytes/s'
  readonly terms: readonly (keyof Work)[]
  /** Below it a measurement is mostly ticks and pages: such points weigh less. */
  readonly noise: number
}

const mebibyte = 2 ** 20

export const quantities: Readonly<Record<Quantity, QuantityShape>> = {
  edgeCores: {
    title: 'edge, CPU',
    unit: 'cores',
    terms: ['messagesPerSecond', 'bodyBytesPerSecond', 'readsPerSecond', 'batchesPerSecond', 'connections', 'edges'],
    noise: 0.02,
  },
  workerCores: {
    title: 'worker, CPU',
    unit: 'cores',
    terms: ['batchesPerSecond', 'logBytesPerSecond', 'insertsPerSecond', 'workers'],
    noise: 0.02,
  },
  warehouseCores: {
    title: 'warehouse, CPU',
    unit: 'cores',
    terms: ['rowsPerSecond', 'rowBytesPerSecond', 'insertsPerSecond', 'warehouses'],
    noise: 0.02,
  },
  edgeMemory: {
    title: 'edge, memory',
    unit: 'bytes',
    terms: ['connections', 'edges', 'edgesBusy'],
    noise: 10 * mebibyte,
  },
  workerMemory: { title: 'worker, memory', unit: 'bytes', terms: ['workers', 'workersBusy'], noise: 10 * mebibyte },
  warehouseMemory: {
    title: 'warehouse, memory',
    unit: 'bytes',
    terms: ['warehouses', 'warehousesBusy'],
    noise: 10 * mebibyte,
  },
  kernelMemory: { title: 'kernel, memory of sockets', unit: 'bytes', terms: ['connections'], noise: 10 * mebibyte },
  logBytesPerSecond: {
    title: 'log, bytes',
    unit: 'bytes/s',
    terms: ['messagesPerSecond', 'bodyBytesPerSecond', 'batchesPerSecond'],
    noise: 1_000,
  },
  clickhouseBytesPerSecond: {
    title: 'ClickHouse, bytes',
    unit: 'bytes/s',
    terms: ['rowsPerSecond', 'rowBytesPerSecond'],
    noise: 1_000,
  },
}

export const quantityNames = Object.keys(quantities) as readonly Quantity[]

/** One cost a term of the quantity, in its order: cores or bytes for one of it. */
export type ScalingModel = Readonly<Record<Quantity, readonly number[]>>

/** A fit with as many terms as points would repeat its points and say nothing. */
const sparePointsMin = 2

/** Fits all points but the held-out ones, by relative error. @throws LOADTEST_MODEL_UNFITTED naming what is missing */
export function fitModel(points: readonly ScalingPoint[]): ScalingModel {
  const fitted = points.filter(({ sweep }) => sweep !== 'held out')
  const costs = quantityNames.map((name): [Quantity, number[]] => [name, costsOf(name, fitted)])
  return Object.fromEntries(costs) as Record<Quantity, number[]>
}

function costsOf(name: Quantity, points: readonly ScalingPoint[]): number[] {
  const { terms, noise, title } = quantities[name]
  const rows = points.flatMap(({ work, measured }) => {
    const value = measured[name]
    return value === undefined ? [] : [{ work, value, weight: 1 / (value + noise) }]
  })
  const needed = terms.length + sparePointsMin
  if (rows.length < needed)
    throw new PenstockError(
      'LOADTEST_MODEL_UNFITTED',
      `${title}: ${rows.length} points for ${terms.length} costs, at least ${needed} are needed`,
    )
  const still = terms.filter((term) => rows.every(({ work }) => work[term] === 0))
  if (still.length > 0)
    throw new PenstockError('LOADTEST_MODEL_UNFITTED', `${title}: no point has any ${still.join(', ')}`)
  return nonNegativeLeastSquares(
    rows.map(({ work, weight }) => terms.map((term) => work[term] * weight)),
    rows.map(({ value, weight }) => value * weight),
  )
}

export function predict(model: ScalingModel, name: Quantity, work: Work): number {
  return quantities[name].terms.reduce((sum, term) => sum + work[term] * costOf(model, name, term), 0)
}

/** What one of a term takes; 0 if the quantity has no such term. */
export function costOf(model: ScalingModel, name: Quantity, term: keyof Work): number {
  return model[name][quantities[name].terms.indexOf(term)] ?? 0
}

export interface Deviation {
  readonly point: ScalingPoint
  readonly quantity: Quantity
  readonly measured: number
  readonly predicted: number
  /** predicted ÷ measured − 1 */
  readonly error: number
}

/** The model beside every measurement of some points. */
export function deviationsOf(model: ScalingModel, points: readonly ScalingPoint[]): readonly Deviation[] {
  return points.flatMap((point) =>
    quantityNames.flatMap((quantity) => {
      const measured = point.measured[quantity]
      if (measured === undefined || measured === 0) return []
      const predicted = predict(model, quantity, point.work)
      return [{ point, quantity, measured, predicted, error: predicted / measured - 1 }]
    }),
  )
}
