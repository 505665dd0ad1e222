import type { ActivityRecord } from '#control/presence/presence.ts'
import type { IdentityId } from '#schemas/identity-id.ts'

/** The devices and modules that one edge process heard of since it last said so. Bound: `countMax`, more are left out until then. */
export class HeardDevices {
  readonly #countMax: number
  /** By `device` or `device/module`: ids hold no slash. */
  readonly #heardAtMs = new Map<string, number>()

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  /** HOT: per HTTP request; one entry of a map. */
  add({ deviceId, moduleId }: IdentityId, atMs: number): void {
    const key = moduleId === undefined ? deviceId : `${deviceId}/${moduleId}`
    if (this.#heardAtMs.size < this.#countMax || this.#heardAtMs.has(key)) this.#heardAtMs.set(key, atMs)
  }

  /** Gives all and begins anew. */
  take(): ActivityRecord[] {
    const records: ActivityRecord[] = []
    for (const [key, atMs] of this.#heardAtMs) {
      const [deviceId = '', moduleId] = key.split('/')
      records.push({ deviceId, moduleId, atMs })
    }
    this.#heardAtMs.clear()
    return records
  }
}
