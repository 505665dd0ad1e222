import { useLayoutEffect, useState } from 'preact/hooks'

/**
 * A value as it was when it last rested for a moment: what is asked for by it is not asked for with every key that somebody presses.
 * @param restMs for as long nothing is asked; short where an answer costs little and what is under way is cancelled
 */
export function useSettled<T>(value: T, restMs = 250): T {
  const [settled, setSettled] = useState(value)
  const key = JSON.stringify(value)
  // Other effects wait for the next picture of the page, which costs a slow browser as much again.
  useLayoutEffect(() => {
    const timer = setTimeout(() => setSettled(value), restMs)
    return () => clearTimeout(timer)
  }, [key])
  return settled
}
