import type { AgentRecord } from '#loadtest/agents/agent-fleet.ts'
import { driftMsOf } from '#loadtest/agents/clocks.ts'

/** When a run says something about its generator instead of its target. */
export interface GeneratorHealth {
  /** Name of the agent it ran on; undefined: this machine. */
  readonly agent: string | undefined
  /** CPU while sending ÷ one core. */
  readonly cpuShare: number
  readonly loopDelayMsP99: number
  readonly loopDelayMsMax: number
}

export interface Validity {
  readonly isValid: boolean
  /** Why the run proves nothing about the target. */
  readonly reasons: readonly string[]
}

export const validityLimits = {
  /** A core that is nearly full answers late, and what it measures is its own queue. */
  cpuShareMax: 0.9,
  /** Event-loop delay p99; a schedule in milliseconds can't be kept beyond it. */
  loopDelayMsP99Max: 50,
  /** How late messages became due for their devices, p99: the schedule's own drift, whatever the target does. */
  driftMsP99Max: 50,
  /** How well an agent's clock is known: a tenth of the time between two looks for rows, which adds to their latency anyway. */
  clockUncertaintyMsMax: 10,
  /** How far an agent's clock may move during a run, for the same reason. */
  clockDriftMsMax: 10,
} as const

export interface ValidityInput {
  readonly isScheduled: boolean
  readonly generators: readonly GeneratorHealth[]
  readonly agents: readonly AgentRecord[]
  /** 99th percentile of intended → handed to the device's connection. */
  readonly driftMsP99: number
}

/** The generator's own faults. What the target holds back is the target's, and counts in its latency. */
export function validityOf({ isScheduled, generators, agents, driftMsP99 }: ValidityInput): Validity {
  const limits = validityLimits
  const reasons: string[] = []
  for (const [index, { agent, cpuShare, loopDelayMsP99 }] of generators.entries()) {
    const name = `generator process ${index}${agent === undefined ? '' : ` on ${agent}`}`
    if (cpuShare >= limits.cpuShareMax)
      reasons.push(
        `${name} used ${Math.round(cpuShare * 100)} % of a core (limit ${limits.cpuShareMax * 100} %): give it --processes or a lower rate`,
      )
    if (isScheduled && loopDelayMsP99 > limits.loopDelayMsP99Max)
      reasons.push(
        `${name} was late itself: event-loop delay p99 ${loopDelayMsP99.toFixed(0)} ms (limit ${limits.loopDelayMsP99Max} ms)`,
      )
  }
  if (isScheduled && driftMsP99 > limits.driftMsP99Max)
    reasons.push(
      `the schedule drifted: messages were due ${driftMsP99.toFixed(0)} ms late (p99, limit ${limits.driftMsP99Max} ms)`,
    )
  for (const { name, clock } of agents) {
    const uncertaintyMs = Math.max(clock.start.uncertaintyMs, clock.end.uncertaintyMs)
    if (uncertaintyMs > limits.clockUncertaintyMsMax)
      reasons.push(
        `the clock of agent ${name} is known to ${uncertaintyMs.toFixed(1)} ms only (limit ${limits.clockUncertaintyMsMax} ms): its network is too slow`,
      )
    if (driftMsOf(clock) > limits.clockDriftMsMax)
      reasons.push(
        `the clock of agent ${name} moved by ${driftMsOf(clock).toFixed(1)} ms during the run (limit ${limits.clockDriftMsMax} ms): synchronise it`,
      )
  }
  return { isValid: reasons.length === 0, reasons }
}
