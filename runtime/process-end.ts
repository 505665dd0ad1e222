/** Ends of this process that nothing in it can hold up. */
import { Worker } from 'node:worker_threads'
import { assert } from './assert.ts'
import { cLibrary } from './c-library.ts'

/**
 * From now on this process ends, with its exit code, as soon as its `exit` event was heard: destructors of native libraries do not run. A
 * library whose threads still work may crash or hang in them. Without the C library's `_exit` the end is a SIGKILL.
 */
export function endWithoutDestructors(): void {
  const exit = cLibrary()?.func('_exit', 'void', ['int'])
  process.on('exit', (code) => {
    // Another listener may have given another code.
    exit?.(process.exitCode ?? code)
    process.kill(process.pid, 'SIGKILL')
  })
}

/** Kills this process after so many milliseconds, even if its main thread stands still by then: the clock runs on a thread of its own. */
export function killAfter(delayMs: number): void {
  assert(Number.isSafeInteger(delayMs) && delayMs >= 0, `a process is killed after milliseconds, not ${delayMs}`)
  const clock = `setTimeout(() => process.kill(${process.pid}, 'SIGKILL'), ${delayMs})`
  new Worker(clock, { eval: true, execArgv: [], env: {} }).unref()
}
