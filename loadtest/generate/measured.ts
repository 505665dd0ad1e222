import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Whether the generator itself had time to spare while it sent. */
export interface GeneratorCost {
  /** CPU of this process while sending. */
  readonly cpuMs: number
  readonly loopDelayMsP99: number
  readonly loopDelayMsMax: number
}

/** Runs `send`, and measures this process meanwhile. Rejects as it does. */
export async function measured(send: () => Promise<void>): Promise<GeneratorCost> {
  const loopDelay = monitorEventLoopDelay({ resolution: 5 })
  loopDelay.enable()
  const before = process.cpuUsage()
  await send()
  const { user, system } = process.cpuUsage(before)
  loopDelay.disable()
  return {
    cpuMs: (user + system) / 1000,
    loopDelayMsP99: loopDelay.percentile(99) / 1e6,
    loopDelayMsMax: loopDelay.max / 1e6,
  }
}
