import { useEffect, useState } from 'preact/hooks'

const restMs = 250

/** A value as it was when it last rested for a moment: what is asked for by it is not asked for with every key that somebody presses. */
export function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value)
  const key = JSON.stringify(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), restMs)
    return () => clearTimeout(timer)
  }, [key])
  return settled
}
