import type { Clock } from './clock.ts'

/** A clock that stands still until it is advanced. */
export interface VirtualClock extends Clock {
  /**
   * Advances to the earliest waiting action and runs it. Of two at the same moment it runs the one that was registered first.
   * @returns false if nothing waits, or only beyond `untilMs`
   */
  step(untilMs?: number): boolean
}

/** A virtual clock that begins at `startMs`. A step costs O(log n) in the number of waiting actions. */
export function virtualClock(startMs = 0): VirtualClock {
  let nowMs = startMs
  let asked = 0
  const heap: Waiting[] = []
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs - startMs,
    after(delayMs, action) {
      const waiting: Waiting = { atMs: nowMs + Math.max(0, delayMs), order: asked++, action }
      push(heap, waiting)
      // A cancelled action stays in the heap until its moment, and then does nothing.
      return () => {
        waiting.action = undefined
      }
    },
    step(untilMs = Number.POSITIVE_INFINITY) {
      while (heap[0] && heap[0].atMs <= untilMs) {
        const { atMs, action } = pop(heap)
        if (!action) continue
        nowMs = atMs
        action()
        return true
      }
      return false
    },
  }
}

interface Waiting {
  readonly atMs: number
  readonly order: number
  action: (() => void) | undefined
}

function isEarlier(one: Waiting, other: Waiting): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)
}

function push(heap: Waiting[], added: Waiting): void {
  let index = heap.length
  heap.push(added)
  while (index > 0) {
    const above = (index - 1) >> 1
    const parent = heap[above]
    if (!parent || !isEarlier(added, parent)) break
    heap[index] = parent
    index = above
  }
  heap[index] = added
}

/** Removes the earliest of a heap that is not empty. */
function pop(heap: Waiting[]): Waiting {
  const [top] = heap
  const moved = heap.pop()
  if (!top || !moved) throw new Error('the heap is empty')
  if (heap.length === 0) return top
  let index = 0
  for (;;) {
    let below = 2 * index + 1
    const left = heap[below]
    if (!left) break
    const right = heap[below + 1]
    if (right && isEarlier(right, left)) below++
    const child = heap[below]
    if (!child || !isEarlier(child, moved)) break
    heap[index] = child
    index = below
  }
  heap[index] = moved
  return top
}
