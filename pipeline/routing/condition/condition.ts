import type { Facts } from './facts.ts'
import type { Needs, Uses } from './needs.ts'

/** True routes. False and undefined do not; undefined is counted with its reason. */
export type Verdict = true | false | undefined

/** A condition that compiled. */
export interface Condition {
  readonly text: string
  /** The lists that `uses` and the indexes of `Facts` count in. */
  readonly needs: Needs
  /** What this condition reads of them. Without body and twin paths the properties decide alone. */
  readonly uses: Uses
  /** Never throws, and keeps nothing of `facts`. */
  readonly evaluate: (facts: Facts) => Verdict
}
