/** A Penstock with registered devices, and loads of all kinds on it, for benches of the two-way half. */
import { randomBytes } from 'node:crypto'
import { ownerToken, type RestAccess } from '#control/client/client.ts'
import type { PenstockSettings, RunningPenstock } from '#infra/testbed/penstock.ts'
import { registerDevices } from '#loadtest/generate/register-devices.ts'
import { type LoadOptions, loadDefaults, type ServiceAccess } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { LoadHooks } from '#loadtest/run/load-run.ts'
import { runWorkloads } from '#loadtest/run/run-load.ts'
import { startMeasured } from './measured-penstock.ts'

/** What a kind of load needs to say of itself. */
export type RegisteredLoad = Pick<LoadOptions, 'run' | 'kind' | 'connections' | 'rate' | 'seconds'> &
  Partial<LoadOptions>

export interface MeasuredLoad {
  readonly result: LoadResult
  /** Operations settled a CPU second of edges, control and store, while they were begun. */
  readonly perCore: number
}

const tokenMs = 3_600_000

export class RegisteredPenstock {
  readonly target: RunningPenstock
  readonly access: RestAccess
  readonly service: ServiceAccess
  readonly #storeCpuSeconds: () => number

  private constructor(target: RunningPenstock, ownerKey: string, storeCpuSeconds: () => number) {
    this.target = target
    this.access = { url: target.httpUrl, hostName: loadDefaults.hubName, ownerKey }
    this.service = { url: target.httpUrl, token: ownerToken(this.access, Date.now() + tokenMs) }
    this.#storeCpuSeconds = storeCpuSeconds
  }

  /** @param storeCpuSeconds of a store that is a server of its own; the embedded one is in the control process */
  static async start(environment: PenstockSettings, storeCpuSeconds = () => 0): Promise<RegisteredPenstock> {
    const ownerKey = randomBytes(32).toString('base64')
    const settings = { ...environment, PENSTOCK_IDENTITIES: 'required', PENSTOCK_OWNER_KEY: ownerKey }
    const target = await startMeasured('start', { cpuList: undefined, environment: settings })
    return new RegisteredPenstock(target, ownerKey, storeCpuSeconds)
  }

  /** CPU so far of all that a message to a device, or a twin, passes through. */
  cpuSeconds(): number {
    return this.target.cpuSeconds('edge') + this.target.cpuSeconds('control') + this.#storeCpuSeconds()
  }

  /** Registers the load's devices, runs it, and deletes them. */
  async load(load: RegisteredLoad): Promise<MeasuredLoad> {
    const looks: { readonly cpuSeconds: number; readonly settled: number }[] = []
    const result = await this.loads([load], ({ sent, settled }) => {
      if (sent > 0) looks.push({ cpuSeconds: this.cpuSeconds(), settled })
    })
    const [first, last] = [looks[0], looks.at(-1)]
    const perCore = first && last ? (last.settled - first.settled) / (last.cpuSeconds - first.cpuSeconds) : Number.NaN
    return { result, perCore }
  }

  /** The same of loads that go side by side: they have one `run`, and device numbers that do not overlap. */
  async loads(loads: readonly RegisteredLoad[], onProgress: LoadHooks['onProgress']): Promise<LoadResult> {
    const options = loads.map((load) => ({
      ...loadDefaults,
      url: this.target.mqttUrl,
      service: this.service,
      ...load,
    }))
    const registered = await registerDevices(options, this.access)
    try {
      const result = await runWorkloads(
        options.map((each) => ({ ...each, deviceKeySecret: registered.secret })),
        { ...(onProgress && { onProgress }) },
      )
      const faults = result.exchanges.flatMap((exchange) => (exchange.isClean ? [] : exchange.faults))
      if (faults.length > 0) throw new Error(faults.join('\n'))
      return result
    } finally {
      await registered.remove()
    }
  }

  async stop(): Promise<void> {
    await this.target.stop()
  }
}
