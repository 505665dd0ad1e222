import { killScenarios } from './kills.ts'
import type { Scenario } from './scenario.ts'

/** Every scenario that `--scenario` knows. */
export const scenarios: readonly Scenario[] = [...killScenarios]

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
