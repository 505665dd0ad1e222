/**
 * The highest rate at which all thresholds still hold: doubles from the first rate until one is missed, then halves the gap between the
 * highest that held and the lowest that did not. A run that is invalid counts as missed and ends the search upwards: beyond it the
 * generator would be measured.
 */

import { count, short } from '#loadtest/options/figures.ts'
import type { LoadOptions } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'

/** The same workload with all its rates multiplied. Each try has a run name of its own, so that ledgers stay apart. */
export function atRate(options: LoadOptions, factor: number, step: number): LoadOptions {
  const { rate, shape, run } = options
  return {
    ...options,
    rate: rate === 'saturate' ? rate : Math.round(rate * factor),
    shape: shape?.map(({ seconds, from, to }) => ({ seconds, from: from * factor, to: to * factor })),
    run: `${run.slice(0, 26)}s${step}`,
  }
}

/** One line a try. */
export function searchLine(rate: number, { verdict, thresholds }: LoadResult): string {
  const figures = thresholds.map(({ name, value }) => `${name} ${value === undefined ? 'not measured' : short(value)}`)
  return `${count(rate).padStart(12)}/s  ${verdict.padEnd(8)} ${figures.join(', ')}`
}

export interface SearchStep {
  readonly rate: number
  readonly result: LoadResult
}

export interface SearchResult {
  /** Undefined if not even the lowest rate tried holds. */
  readonly best: SearchStep | undefined
  readonly steps: readonly SearchStep[]
}

export interface SearchOptions {
  readonly firstRate: number
  /** The answer is within this share of the true one. */
  readonly precision: number
  readonly stepsMax: number
}

/** @param run one load at a rate; called one after the other */
export async function searchRate(
  { firstRate, precision, stepsMax }: SearchOptions,
  run: (rate: number, step: number) => Promise<LoadResult>,
  signal?: AbortSignal,
): Promise<SearchResult> {
  const steps: SearchStep[] = []
  let best: SearchStep | undefined
  let missed = Number.POSITIVE_INFINITY
  let rate = firstRate
  while (steps.length < stepsMax && rate >= 1) {
    const result = await run(rate, steps.length)
    // One that was cut short proves nothing.
    if (signal?.aborted) break
    const step = { rate, result }
    steps.push(step)
    if (result.verdict === 'passed') best = step
    else missed = rate
    const held = best?.rate ?? 0
    if (missed - held <= held * precision) break
    if (!Number.isFinite(missed)) rate = held * 2
    else rate = held === 0 ? Math.floor(missed / 2) : Math.round((held + missed) / 2)
    if (rate <= held || rate >= missed) break
  }
  return { best, steps }
}
