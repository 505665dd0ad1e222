import { getPriority, setPriority } from 'node:os'

/**
 * Gives a process or thread at least this nice value if the system permits it. The result says why it did not; a failure costs only
 * speed. One that is nicer already stays so (EACCES otherwise). A sandbox may forbid the call (EPERM), a thread may have ended (ESRCH).
 * @param id of a process or thread; 0 is this process
 */
export function lowerPriority(id: number, nice: number): unknown {
  try {
    if (getPriority(id) < nice) setPriority(id, nice)
    return undefined
  } catch (error) {
    return error
  }
}
