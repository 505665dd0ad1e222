import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { CallFault } from './call.ts'

/** After so many milliseconds, while the page is visible; always when it comes into sight again, as after a change in another tab. */
export type Again = number | 'when seen'

/** What a screen knows of something that it asked for. `value` stays while it is asked for again. */
export interface Loaded<T> {
  readonly value: T | undefined
  readonly error: unknown
  readonly isLoading: boolean
  /** It is what was there for the keys of before, until there is an answer for those of now. */
  readonly isOfBefore: boolean
  /** Asks again, now. */
  reload(): void
}

/**
 * Asks for something, again whenever `keys` change, and as `again` says. An answer that came too late for its
 * keys is dropped, and its request cancelled. A component that goes on to another subject needs a `key` of its own: within one, what was
 * there stays in sight until the next answer, so that a list does not jump while somebody types what it is to hold.
 */
export function useLoad<T>(
  load: (signal: AbortSignal) => Promise<T>,
  keys: readonly unknown[],
  again?: Again,
): Loaded<T> {
  const [state, setState] = useState<{ readonly key: string; readonly value: T | undefined; readonly error: unknown }>()
  const [isLoading, setLoading] = useState(true)
  const [asked, setAsked] = useState(0)
  const loader = useRef(load)
  loader.current = load
  const key = JSON.stringify(keys)

  // Asked before the page is drawn, and not after.
  useLayoutEffect(() => {
    const cancel = new AbortController()
    setLoading(true)
    loader.current(cancel.signal).then(
      (value) => {
        if (cancel.signal.aborted) return
        setState({ key, value, error: undefined })
        setLoading(false)
      },
      (error: unknown) => {
        if (cancel.signal.aborted) return
        setState((before) => ({ key, value: before?.key === key ? before.value : undefined, error }))
        setLoading(false)
      },
    )
    return () => cancel.abort()
  }, [key, asked])

  const reload = useCallback(() => setAsked((count) => count + 1), [])
  // What is wrong with a question stays wrong.
  const isRefused = state?.error instanceof CallFault && state.error.status === 400
  useEffect(() => {
    if (again === undefined || isLoading || isRefused) return
    const reloadIfSeen = (): void => {
      if (!document.hidden) reload()
    }
    const timer = again === 'when seen' ? undefined : setTimeout(reloadIfSeen, again)
    document.addEventListener('visibilitychange', reloadIfSeen)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', reloadIfSeen)
    }
  }, [again, isLoading, isRefused, reload])

  const isOfBefore = state !== undefined && state.key !== key
  return { value: state?.value, error: state?.error, isLoading, isOfBefore, reload }
}
