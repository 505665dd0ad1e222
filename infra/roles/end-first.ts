import { writeFileSync } from 'node:fs'

/** Of -1,000 to 1,000 thousandths of the memory there is. */
const scoreAdjustment = '500'

/** Where memory runs out, Linux ends this process before those that devices need. Elsewhere, or refused, it changes nothing. */
export function endFirstWhenMemoryEnds(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', scoreAdjustment)
  } catch {}
}
