import { type Clock, sleep } from './clock.ts'

/**
 * Does something again and again, each time once the last is over, until it is ended.
 * @param once gives the pause before the next time, in ms; must not reject
 * @returns ends it, and resolves when nothing of it is under way
 */
export function repeating(clock: Clock, once: (signal: AbortSignal) => Promise<number>): () => Promise<void> {
  const closed = new AbortController()
  const { signal } = closed
  const running = run()
  return () => {
    closed.abort()
    return running
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const pauseMs = await once(signal)
      if (pauseMs > 0) await sleep(clock, pauseMs, signal)
    }
  }
}
