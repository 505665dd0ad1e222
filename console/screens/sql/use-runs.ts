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

/** A statement, and what is known of it so far. */
export interface Run {
  readonly asked: Asked
  readonly result?: Result
  /** There was no answer. */
  readonly error?: unknown
}

export interface Runs {
  /** In the order in which they were run. */
  readonly all: readonly Run[]
  /** The one that is looked at: the last one until another is chosen. */
  readonly shown: Run | undefined
  readonly isRunning: boolean
  readonly isCancelled: boolean
  /** One after the other, until one fails. */
  start(asked: readonly Asked[]): void
  choose(index: number): void
  cancel(): void
}

/** What is started ends what runs, and so does leaving the screen. */
export function useRuns(): Runs {
  const [all, setAll] = useState<readonly Run[]>([])
  const [chosen, setChosen] = useState<number>()
  const [isRunning, setRunning] = useState(false)
  const [isCancelled, setCancelled] = useState(false)
  const under = useRef<AbortController | undefined>(undefined)
  useEffect(() => () => under.current?.abort(), [])
  const start = (statements: readonly Asked[]): void => {
    under.current?.abort()
    const controller = new AbortController()
    under.current = controller
    setAll([])
    setChosen(undefined)
    setCancelled(false)
    setRunning(true)
    const tell = (runs: readonly Run[]): void => {
      if (!controller.signal.aborted) setAll(runs)
    }
    void runAll(statements, controller.signal, tell).then(() => {
      if (under.current === controller) setRunning(false)
    })
  }
  const cancel = (): void => {
    under.current?.abort()
    setRunning(false)
    setCancelled(true)
  }
  return { all, shown: all[chosen ?? all.length - 1], isRunning, isCancelled, start, choose: setChosen, cancel }
}

async function runAll(
  statements: readonly Asked[],
  signal: AbortSignal,
  tell: (runs: readonly Run[]) => void,
): Promise<void> {
  const before: Run[] = []
  for (const asked of statements) {
    let run: Run = { asked }
    const told = (news: Omit<Run, 'asked'>): void => {
      run = { asked, ...news }
      tell([...before, run])
    }
    told({})
    remember(asked.text)
    try {
      await runStatement(asked.prefix + asked.text, signal, (result) => told({ result }))
    } catch (error) {
      told({ error })
    }
    if (signal.aborted || run.error !== undefined || run.result?.fault !== undefined) return
    before.push(run)
  }
}
