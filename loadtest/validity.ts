/** When a run says something about its generator instead of its target. */
export interface GeneratorHealth {
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
} as const

export interface ValidityInput {
  readonly isScheduled: boolean
  readonly generators: readonly GeneratorHealth[]
  /** 99th percentile of intended → handed to the device's connection. */
  readonly driftMsP99: number
}

/** The generator's own faults. What the target holds back is the target's, and counts in its latency. */
export function validityOf({ isScheduled, generators, driftMsP99 }: ValidityInput): Validity {
  const limits = validityLimits
  const reasons: string[] = []
  for (const [index, { cpuShare, loopDelayMsP99 }] of generators.entries()) {
    if (cpuShare >= limits.cpuShareMax)
      reasons.push(
        `generator process ${index} used ${Math.round(cpuShare * 100)} % of a core (limit ${limits.cpuShareMax * 100} %): give it --processes or a lower rate`,
      )
    if (isScheduled && loopDelayMsP99 > limits.loopDelayMsP99Max)
      reasons.push(
        `generator process ${index} was late itself: event-loop delay p99 ${loopDelayMsP99.toFixed(0)} ms (limit ${limits.loopDelayMsP99Max} ms)`,
      )
  }
  if (isScheduled && driftMsP99 > limits.driftMsP99Max)
    reasons.push(
      `the schedule drifted: messages were due ${driftMsP99.toFixed(0)} ms late (p99, limit ${limits.driftMsP99Max} ms)`,
    )
  return { isValid: reasons.length === 0, reasons }
}
