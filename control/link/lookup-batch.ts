import type { DeviceCredentials } from '#control/identities/identities.ts'
import { PenstockError } from '#schemas/errors.ts'

/** Devices asked for in one statement. */
const batchMax = 1_000
/** Look-ups waiting or under way; beyond it the registry is slower than devices arrive, and they are told to come back. */
const pendingMax = 50_000

interface Waiting {
  readonly promise: Promise<DeviceCredentials | undefined>
  readonly resolve: (found: DeviceCredentials | undefined) => void
  readonly reject: (error: unknown) => void
}

/**
 * Gathers look-ups into batches: one is under way at a time, and what arrives meanwhile makes up the next. A storm of
 * connections thus costs one statement a thousand devices. A single look-up is made at once.
 */
export class LookupBatch {
  readonly #ask: (deviceIds: readonly string[]) => Promise<readonly DeviceCredentials[]>
  readonly #waiting = new Map<string, Waiting>()
  #pending = 0
  #running = false

  constructor(ask: (deviceIds: readonly string[]) => Promise<readonly DeviceCredentials[]>) {
    this.#ask = ask
  }

  /** Rejects as `ask` does, or with AUTH_DIRECTORY_UNAVAILABLE when too many wait. */
  lookup(deviceId: string): Promise<DeviceCredentials | undefined> {
    const before = this.#waiting.get(deviceId)
    if (before) return before.promise
    if (this.#pending >= pendingMax) {
      return Promise.reject(new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'too many look-ups wait for the registry'))
    }
    let settle: Omit<Waiting, 'promise'> | undefined
    const promise = new Promise<DeviceCredentials | undefined>((resolve, reject) => {
      settle = { resolve, reject }
    })
    if (settle) this.#waiting.set(deviceId, { promise, ...settle })
    this.#pending++
    if (!this.#running) {
      this.#running = true
      setImmediate(() => void this.#run())
    }
    return promise
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const batch = this.#take()
      try {
        const found = new Map((await this.#ask([...batch.keys()])).map((device) => [device.deviceId, device]))
        for (const [deviceId, { resolve }] of batch) resolve(found.get(deviceId))
      } catch (error) {
        for (const { reject } of batch.values()) reject(error)
      }
      this.#pending -= batch.size
    }
    this.#running = false
  }

  #take(): Map<string, Waiting> {
    const batch = new Map<string, Waiting>()
    for (const [deviceId, waiting] of this.#waiting) {
      if (batch.size === batchMax) break
      batch.set(deviceId, waiting)
      this.#waiting.delete(deviceId)
    }
    return batch
  }
}
