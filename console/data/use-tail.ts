import { useEffect, useRef, useState } from 'preact/hooks'
import { reasonOf } from './call.ts'
import { InSight } from './in-sight.ts'
import { type Gap, type Rates, ratesOf, Seen, type TailState } from './seen.ts'
import { type Message, type TailFilters, tailOf } from './tail.ts'

export interface Tail extends Rates {
  readonly state: TailState
  /** Why it is lost. */
  readonly reason: string | undefined
  /** When the server last said something, by its clock. */
  readonly heardAtMs: number | undefined
  /** Newest first. */
  readonly items: readonly (Message | Gap)[]
  /** Where the first message became a row: when, by the server's clock. */
  readonly storedAtMs: number | undefined
  clear(): void
}

const drawMs = 200
const retryMs = 1_000

/**
 * Follows the end of the log, and begins again when it is cut off. While it is paused what is shown stays, and the rest goes on counting.
 */
export function useTail(filters: TailFilters, isPaused = false, wantsStored = false): Tail {
  const seen = useRef(new Seen())
  const paused = useRef(isPaused)
  paused.current = isPaused
  const [, draw] = useState(0)
  const key = JSON.stringify(filters)

  useEffect(() => {
    const cancel = new AbortController()
    seen.current = new Seen()
    let drawn = ''
    const drawing = setInterval(() => {
      seen.current.look()
      const { state, reason, heardHereMs } = seen.current
      const news = JSON.stringify([state, reason, heardHereMs])
      if (news === drawn) return
      drawn = news
      draw((count) => count + 1)
    }, drawMs)
    void follow(JSON.parse(key), wantsStored, cancel.signal, seen.current, () => !paused.current)
    return () => {
      cancel.abort()
      clearInterval(drawing)
    }
  }, [key, wantsStored])

  const { state, reason, heardAtMs, items, storedAtMs, reports } = seen.current
  const clear = (): void => {
    seen.current.items = []
    draw((count) => count + 1)
  }
  return { state, reason, heardAtMs, items, storedAtMs, ...ratesOf(reports), clear }
}

async function follow(
  filters: TailFilters,
  wantsStored: boolean,
  signal: AbortSignal,
  seen: Seen,
  keepsUp: () => boolean,
): Promise<void> {
  while (!signal.aborted) {
    const inSight = new InSight(signal)
    try {
      for await (const report of tailOf(filters, inSight.signal, wantsStored)) seen.take(report, keepsUp())
      seen.reason = 'Penstock ended the stream.'
    } catch (error) {
      seen.reason = inSight.isHidden ? 'It rested while this page was in the background.' : reasonOf(error)
    }
    inSight.end()
    if (signal.aborted) return
    await inSight.seen()
    seen.state = seen.heardHereMs === 0 && seen.reason === undefined ? 'connecting' : 'lost'
    await new Promise((resolve) => setTimeout(resolve, retryMs))
  }
}
