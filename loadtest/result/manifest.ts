import type { AgentRecord } from '#loadtest/agents/agent-fleet.ts'
import { type Machine, machineOf } from '#loadtest/agents/machine.ts'
import type { LoadOptions } from '#loadtest/options/load-options.ts'

/** What one must know to believe a result, or to repeat it; the machine is the one that ran `npm run loadtest`. */
export interface LoadManifest extends Machine {
  readonly startedAt: string
  readonly options: LoadOptions
  /** All workloads of the run; the first is `options`. */
  readonly workloads: readonly LoadOptions[]
  /** Machines of the generators; empty if they ran on this one. */
  readonly agents: readonly AgentRecord[]
}

/** @param startAtMs first moment of sending, UTC */
export function manifestOf(
  workloads: readonly LoadOptions[],
  startAtMs: number,
  agents: readonly AgentRecord[],
): LoadManifest {
  const shown = workloads.map(withoutSecrets)
  const [options] = shown
  if (options === undefined) throw new Error('a run has at least one workload')
  return {
    startedAt: new Date(startAtMs).toISOString(),
    options,
    workloads: shown,
    agents,
    ...machineOf(),
  }
}

/** A result is shown around; what opens a door is not in it. */
function withoutSecrets(options: LoadOptions): LoadOptions {
  return {
    ...options,
    deviceKeySecret: undefined,
    service: undefined,
    clickhouse: options.clickhouse === undefined ? undefined : new URL(options.clickhouse).origin,
  }
}
