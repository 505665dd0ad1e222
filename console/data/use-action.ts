import { useEffect, useRef, useState } from 'preact/hooks'

export interface Action<Given extends readonly unknown[]> {
  readonly isRunning: boolean
  /** Of the last run; `undefined` once another one begins. */
  readonly error: unknown
  run(...given: Given): Promise<void>
  /** What it threw needs to be shown no longer. */
  forget(): void
}

/** Something that a button does: one run at a time, what it throws is kept to be shown. What is under way is cancelled with the screen. */
export function useAction<Given extends readonly unknown[]>(
  act: (signal: AbortSignal, ...given: Given) => Promise<void>,
): Action<Given> {
  const [isRunning, setRunning] = useState(false)
  const [error, setError] = useState<unknown>()
  const cancel = useRef<AbortController | undefined>(undefined)
  useEffect(() => () => cancel.current?.abort(), [])
  const run = async (...given: Given): Promise<void> => {
    if (cancel.current !== undefined) return
    const controller = new AbortController()
    cancel.current = controller
    setRunning(true)
    setError(undefined)
    try {
      await act(controller.signal, ...given)
    } catch (fault) {
      if (!controller.signal.aborted) setError(fault)
    } finally {
      cancel.current = undefined
      if (!controller.signal.aborted) setRunning(false)
    }
  }
  return { isRunning, error, run, forget: () => setError(undefined) }
}
