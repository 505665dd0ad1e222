import { useEffect, useRef, useState } from 'preact/hooks'
import { remember } from './kept-statements.tsx'
import { type Result, runStatement } from './statement.ts'

/** A statement, and where it lies in the text of the editor. */
export interface Asked {
  readonly text: string
  readonly from: number
  /** Put before it, and not in the text. */
  readonly prefix: string
}

export interface Runs {
  readonly asked: Asked | undefined
  readonly result: Result | undefined
  /** There was no answer. */
  readonly error: unknown
  readonly isRunning: boolean
  readonly isCancelled: boolean
  start(asked: Asked): void
  cancel(): void
}

/** One statement at a time: another one ends the one before, and so does leaving the screen. */
export function useRuns(): Runs {
  const [asked, setAsked] = useState<Asked>()
  const [result, setResult] = useState<Result>()
  const [error, setError] = useState<unknown>()
  const [isRunning, setRunning] = useState(false)
  const [isCancelled, setCancelled] = useState(false)
  const under = useRef<AbortController | undefined>(undefined)
  useEffect(() => () => under.current?.abort(), [])
  const start = (next: Asked): void => {
    under.current?.abort()
    const controller = new AbortController()
    under.current = controller
    setAsked(next)
    setResult(undefined)
    setError(undefined)
    setCancelled(false)
    setRunning(true)
    remember(next.text)
    runStatement(next.prefix + next.text, controller.signal, (told) => {
      if (!controller.signal.aborted) setResult(told)
    }).then(
      () => {
        if (under.current === controller) setRunning(false)
      },
      (fault: unknown) => {
        if (under.current !== controller) return
        setRunning(false)
        if (!controller.signal.aborted) setError(fault)
      },
    )
  }
  const cancel = (): void => {
    under.current?.abort()
    setRunning(false)
    setCancelled(true)
  }
  return { asked, result, error, isRunning, isCancelled, start, cancel }
}
