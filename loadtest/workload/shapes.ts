/** Named shapes of a run for the command line; a workload file says the same with figures of its own. */

import type { LoadOptions, RateSegment } from '#loadtest/options/load-options.ts'

export const shapeNames = ['steady', 'ramp', 'spike', 'storm', 'hot', 'noisy', 'slow'] as const
export type ShapeName = (typeof shapeNames)[number]

export const shapeHelp: Readonly<Record<ShapeName, string>> = {
  steady: 'the same rate all the time',
  ramp: 'from nothing to the rate',
  spike: 'five times the rate in the middle fifth',
  storm: 'all connections are cut off at a third, and half of them at two thirds',
  hot: 'devices share the rate by Zipf’s law, exponent 1.2: the first sends most',
  noisy: 'in the middle third a tenth as many devices send ten times the rate beside the others',
  slow: 'a tenth as many devices beside the others don’t read their PUBACKs in the middle third',
}

const spikeFactor = 5
const zipfExponent = 1.2
const noisyFactor = 10

/** The workloads of a named shape. Saturating runs know `steady` and `storm` only. */
export function workloadsOfShape(name: ShapeName, options: LoadOptions): LoadOptions[] {
  const { rate, seconds, connections } = options
  if (rate === 'saturate' && name !== 'storm') return [options]
  const perSecond = rate === 'saturate' ? 0 : rate
  const beside = {
    ...options,
    connections: Math.max(1, Math.round(connections / 10)),
    processes: 1,
    firstDevice: options.firstDevice + connections,
  }
  switch (name) {
    case 'steady':
      return [options]
    case 'ramp':
      return [{ ...options, shape: [{ seconds, from: 0, to: perSecond }] }]
    case 'spike': {
      const shape = spikeSegments(perSecond, perSecond * spikeFactor, seconds, (seconds * 2) / 5, seconds / 5)
      return [{ ...options, shape }]
    }
    case 'storm': {
      const storms = [
        { atSeconds: seconds / 3, share: 1 },
        { atSeconds: (seconds * 2) / 3, share: 0.5 },
      ]
      return [{ ...options, storms }]
    }
    case 'hot':
      return [{ ...options, skew: zipfExponent }]
    case 'noisy': {
      const neighbour: LoadOptions = {
        ...beside,
        workload: 'noisy',
        rate: perSecond * noisyFactor,
        delaySeconds: seconds / 3,
        seconds: seconds / 3,
      }
      return [{ ...options, workload: 'quiet' }, neighbour]
    }
    case 'slow': {
      const slow: LoadOptions = {
        ...beside,
        workload: 'slow',
        rate: Math.ceil((perSecond * beside.connections) / connections),
        slowReading: [{ atSeconds: seconds / 3, forSeconds: seconds / 3, share: 1 }],
      }
      return [{ ...options, workload: 'reading' }, slow]
    }
  }
}

/** A base rate with one higher stretch. The stretch ends with the run at the latest. */
export function spikeSegments(
  base: number,
  peak: number,
  seconds: number,
  atSeconds: number,
  forSeconds: number,
): RateSegment[] {
  const begin = Math.min(atSeconds, seconds)
  const end = Math.min(atSeconds + forSeconds, seconds)
  return [
    { seconds: begin, from: base, to: base },
    { seconds: end - begin, from: peak, to: peak },
    { seconds: seconds - end, from: base, to: base },
  ].filter((segment) => segment.seconds > 0)
}
