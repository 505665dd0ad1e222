/** Ends of this process that nothing in it can hold up. */
import { inspect } from 'node:util'
import { isMainThread, Worker } from 'node:worker_threads'
import { assert } from './assert.ts'
import { cLibrary } from './c-library.ts'

/**
 * From now on this process ends, with its exit code, as soon as its `exit` event was heard by those who listen already: destructors of
 * native libraries do not run. A library whose threads still work may crash or hang in them. What nobody catches is said as before. Without
 * the C library's `_exit` another program, which ends at once, takes this one's place; so confine no process that has no `_exit`.
 */
export function endWithoutDestructors(): void {
  assert(isMainThread, 'a process is ended by its main thread')
  const exit = cLibrary()?.func('_exit', 'void', ['int'])
  // Node itself says it after the `exit` event, which is too late here.
  process.on('uncaughtExceptionMonitor', (error) => {
    if (process.listenerCount('uncaughtException') === 0) process.stderr.write(`${inspect(error)}\n`)
  })
  process.on('exit', (code) => {
    // Another listener may have given another code.
    const last = Number(process.exitCode ?? code)
    exit?.(last)
    process.execve?.(process.execPath, [process.execPath, '--eval', `process.exit(${last})`], {})
  })
}

/**
 * Kills this process after so many milliseconds, even if its main thread stands still by then: the clock runs on a thread of its own. Where
 * there can be no other thread it runs on this one.
 * @returns what spares it; once that resolved, it is not killed any more
 */
export function killAfter(delayMs: number): () => Promise<void> {
  assert(Number.isSafeInteger(delayMs) && delayMs >= 0, `a process is killed after milliseconds, not ${delayMs}`)
  const clock = `setTimeout(() => process.kill(${process.pid}, 'SIGKILL'), ${delayMs})`
  let timer: NodeJS.Timeout | undefined
  const onThisThread = (): void => {
    timer = setTimeout(() => process.kill(process.pid, 'SIGKILL'), delayMs).unref()
  }
  let thread: Worker | undefined
  try {
    thread = new Worker(clock, { eval: true, execArgv: [], env: {} }).on('error', onThisThread)
    thread.unref()
  } catch {
    onThisThread()
  }
  return async () => {
    await thread?.terminate()
    clearTimeout(timer)
  }
}
