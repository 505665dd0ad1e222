import { brokerKill } from './broker-kill.ts'
import { clockJump } from './clock-jump.ts'
import { diskFull } from './disk-full.ts'
import { failingViews } from './failing-views.ts'
import { killScenarios } from './kills.ts'
import { membershipScenarios } from './membership.ts'
import { networkScenarios } from './network.ts'
import type { Scenario } from './scenario.ts'
import { soak } from './soak.ts'
import { threeOfEverything } from './three-of-everything.ts'
import { upgrade } from './upgrade.ts'
import { warehouseDown } from './warehouse-down.ts'
import { zombieWorker } from './zombie-worker.ts'

/** Every scenario that `--scenario` knows. */
export const scenarios: readonly Scenario[] = [
  ...killScenarios,
  zombieWorker,
  warehouseDown,
  ...networkScenarios,
  brokerKill,
  ...membershipScenarios,
  diskFull,
  failingViews,
  clockJump,
  soak,
  upgrade,
  threeOfEverything,
]

export function scenarioNamed(name: string): Scenario | undefined {
  return scenarios.find((scenario) => scenario.name === name)
}

/** `--scenario list` */
export function scenarioListText(): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length))
  return scenarios
    .map(({ name, summary, log }) => `  ${name.padEnd(width)}  ${summary}${log === 'any' ? '' : ` (${log})`}`)
    .join('\n')
}
