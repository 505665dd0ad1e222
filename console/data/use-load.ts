import { useCallback, useEffect, useRef, useState } from 'preact/hooks'

/** What a screen knows of something that it asked for. `value` stays while it is asked for again, and after that failed. */
export interface Loaded<T> {
  readonly value: T | undefined
  readonly error: unknown
  readonly isLoading: boolean
  /** Asks again, now. */
  reload(): void
}

/**
 * Asks for something, again whenever `keys` change, and every `everyMs` while the page is visible. An answer that came too late for its
 * keys is dropped, and its request cancelled.
 */
export function useLoad<T>(
  load: (signal: AbortSignal) => Promise<T>,
  keys: readonly unknown[],
  everyMs?: number,
): Loaded<T> {
  const [state, setState] = useState<{ readonly value: T | undefined; readonly error: unknown }>()
  const [isLoading, setLoading] = useState(true)
  const [asked, setAsked] = useState(0)
  const loader = useRef(load)
  loader.current = load
  const key = JSON.stringify(keys)
  const lastKey = useRef(key)

  useEffect(() => {
    const cancel = new AbortController()
    setLoading(true)
    if (lastKey.current !== key) setState(undefined)
    lastKey.current = key
    loader.current(cancel.signal).then(
      (value) => {
        if (cancel.signal.aborted) return
        setState({ value, error: undefined })
        setLoading(false)
      },
      (error: unknown) => {
        if (cancel.signal.aborted) return
        setState((before) => ({ value: before?.value, error }))
        setLoading(false)
      },
    )
    return () => cancel.abort()
  }, [key, asked])

  const reload = useCallback(() => setAsked((count) => count + 1), [])
  useEffect(() => {
    if (everyMs === undefined || isLoading) return
    const timer = setTimeout(() => {
      if (!document.hidden) reload()
    }, everyMs)
    const onVisible = (): void => {
      if (!document.hidden) reload()
    }
    document.addEventListener('visibilitychange', onVisible)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', onVisible)
    }
  }, [everyMs, isLoading, reload])

  return { value: state?.value, error: state?.error, isLoading, reload }
}
