/** The last hour of the installation's metrics, for charts: asked for whole once, then what came after. */
import { useEffect, useState } from 'preact/hooks'
import { aNumber, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { json } from './call.ts'

interface Line {
  readonly name: string
  readonly group: string | undefined
  readonly values: readonly (number | undefined)[]
}

interface Quantiles {
  readonly name: string
  readonly p50: readonly (number | undefined)[]
  readonly p95: readonly (number | undefined)[]
  readonly p99: readonly (number | undefined)[]
}

export interface History {
  readonly stepMs: number
  readonly times: readonly number[]
  readonly series: readonly Line[]
  readonly quantiles: readonly Quantiles[]
}

const values = listOf(optional(aNumber))
const check = recordOf<History>({
  stepMs: aNumber,
  times: listOf(aNumber),
  series: listOf(recordOf<Line>({ name: aText, group: optional(aText), values })),
  quantiles: listOf(recordOf<Quantiles>({ name: aText, p50: values, p95: values, p99: values })),
})

const stepsMax = 720
const pollMs = 5_000

/** `undefined` until the first answer. What fails is asked for again. */
export function useHistory(): { readonly history: History | undefined; readonly error: unknown } {
  const [history, setHistory] = useState<History>()
  const [error, setError] = useState<unknown>()
  useEffect(() => {
    const cancel = new AbortController()
    const { signal } = cancel
    let known: History | undefined
    let timer: ReturnType<typeof setTimeout>
    const ask = async (): Promise<void> => {
      try {
        const since = known?.times.at(-1) ?? 0
        const news = await json(check, `/console/metrics?since=${since}`, { signal })
        known = known === undefined ? news : joined(known, news)
        setHistory(known)
        setError(undefined)
      } catch (fault) {
        if (!signal.aborted) setError(fault)
      }
      if (!signal.aborted) timer = setTimeout(() => void ask(), pollMs)
    }
    void ask()
    return () => {
      cancel.abort()
      clearTimeout(timer)
    }
  }, [])
  return { history, error }
}

/** Puts later steps behind those that are known; what is older than an hour goes. Lines that begin or end meanwhile have gaps. */
export function joined(known: History, news: History): History {
  const times = [...known.times, ...news.times]
  const dropped = Math.max(0, times.length - stepsMax)
  const nothing = <T>(count: number): (T | undefined)[] => new Array(count).fill(undefined)
  const behind = (before: Line['values'] | undefined, after: Line['values'] | undefined): Line['values'] =>
    [...(before ?? nothing<number>(known.times.length)), ...(after ?? nothing<number>(news.times.length))].slice(
      dropped,
    )
  const keyOf = ({ name, group }: Pick<Line, 'name' | 'group'>): string => `${name} ${group ?? ''}`
  const lines = new Map<string, Pick<Line, 'name' | 'group'>>()
  for (const line of [...known.series, ...news.series]) lines.set(keyOf(line), line)
  return {
    stepMs: news.stepMs,
    times: times.slice(dropped),
    series: [...lines].map(([key, { name, group }]) => ({
      name,
      group,
      values: behind(
        known.series.find((line) => keyOf(line) === key)?.values,
        news.series.find((line) => keyOf(line) === key)?.values,
      ),
    })),
    quantiles: news.quantiles.map(({ name, p50, p95, p99 }) => {
      const before = known.quantiles.find((line) => line.name === name)
      return { name, p50: behind(before?.p50, p50), p95: behind(before?.p95, p95), p99: behind(before?.p99, p99) }
    }),
  }
}

/** One line for a chart: when, and how much. */
export function pointsOf(
  history: History,
  lineValues: Line['values'] | undefined,
): (readonly [atMs: number, value: number | undefined])[] {
  return history.times.map((atMs, index) => [atMs, lineValues?.[index]])
}

export function lineOf(history: History, name: string, group?: string): Line['values'] | undefined {
  return history.series.find((line) => line.name === name && line.group === group)?.values
}

/** The newest value; `undefined` if it is not known. */
export function lastOf(history: History | undefined, name: string): number | undefined {
  return history && lineOf(history, name)?.at(-1)
}
