/**
 * What one process knows of devices, filled by look-ups at CONNECT and emptied by the directory's notices.
 *
 *   get ─▶ known, fresh ───────────────────────────▶ at once
 *       └▶ unknown, old ─▶ look-up ─▶ notice meanwhile? ─ yes ─▶ look-up again
 *                                          └ no ─▶ kept, answered
 *
 * Bound: `devicesMax` devices; the one asked for longest ago leaves first.
 */

import type { CredentialSource, DeviceCredentials } from '#control/identities/identities.ts'
import type { Invalidation, Invalidations } from '#control/store/changes.ts'
import type { Trust, TrustSource } from '#control/trust/trust.ts'
import type { Clock } from '#runtime/clock.ts'

/** A registered device is asked for again after this time even without a notice: bounds what a lost notice can do. */
const knownMsMax = 600_000
/** An unknown device is believed unknown for so long: a storm of strangers costs one look-up a second each. */
const unknownMsMax = 1_000
/** Of those that are believed unknown, about 150 bytes each. They have room of their own: strangers push out no device. */
const unknownDevicesMax = 10_000

interface Entry {
  readonly device: DeviceCredentials | undefined
  readonly untilMs: number
}

export class CredentialCache {
  readonly #directory: CredentialSource & TrustSource & Invalidations
  readonly #clock: Clock
  readonly #devicesMax: number
  /** In order of last use. */
  readonly #entries = new Map<string, Entry>()
  readonly #unknown = new Map<string, Entry>()
  readonly #asking = new Map<string, Promise<Entry>>()
  readonly #unwatch: () => void
  /** Devices being asked for about which a notice came meanwhile: an answer from before it is not kept. */
  readonly #noticed = new Set<string>()
  #noticedAll = 0
  #trust: Trust | undefined
  #trustAsking: Promise<Trust> | undefined
  #trustNoticed = 0
  lookups = 0

  constructor(directory: CredentialSource & TrustSource & Invalidations, clock: Clock, devicesMax: number) {
    this.#directory = directory
    this.#clock = clock
    this.#devicesMax = devicesMax
    // Registered before all others, so that they find nothing stale here when they hear of a notice.
    this.#unwatch = directory.onInvalidate((invalidation) => this.#invalidate(invalidation))
  }

  close(): void {
    this.#unwatch()
  }

  /** The entry of a device; a promise only if it must be asked for. Rejects with AUTH_DIRECTORY_UNAVAILABLE. */
  device(deviceId: string): Entry | Promise<Entry> {
    const entry = this.#entries.get(deviceId)
    if (entry && entry.untilMs > this.#clock.nowMs()) {
      this.#entries.delete(deviceId)
      this.#entries.set(deviceId, entry)
      return entry
    }
    const unknown = this.#freshUnknown(deviceId)
    if (unknown) return unknown
    const before = this.#asking.get(deviceId)
    if (before) return before
    const asking = this.#ask(deviceId)
    this.#asking.set(deviceId, asking)
    return asking
  }

  /** True if a device was registered when it was last asked for, or need not be asked for now. */
  knows(deviceId: string): boolean {
    return this.#entries.has(deviceId) || this.#freshUnknown(deviceId) !== undefined
  }

  /** True if nothing has changed since these were given. Makes no look-up and does not count as use. */
  holds(deviceId: string, entry: object, trust: object): boolean {
    const now = this.#entries.get(deviceId)
    return now === entry && this.#trust === trust && now.untilMs > this.#clock.nowMs()
  }

  /** Policies and authorities; a promise only if they must be asked for. Rejects with AUTH_DIRECTORY_UNAVAILABLE. */
  trust(): Trust | Promise<Trust> {
    if (this.#trust) return this.#trust
    this.#trustAsking ??= this.#askTrust()
    return this.#trustAsking
  }

  /** Ends being asked for in the tick in which the answer is kept: a notice in between would find neither. */
  async #ask(deviceId: string): Promise<Entry> {
    try {
      while (true) {
        const all = this.#noticedAll
        this.#noticed.delete(deviceId)
        this.lookups++
        const device = await this.#directory.lookup(deviceId)
        if (!this.#noticed.has(deviceId) && this.#noticedAll === all) return this.#kept(deviceId, device)
      }
    } finally {
      this.#asking.delete(deviceId)
      this.#noticed.delete(deviceId)
    }
  }

  #freshUnknown(deviceId: string): Entry | undefined {
    const entry = this.#unknown.get(deviceId)
    return entry && entry.untilMs > this.#clock.nowMs() ? entry : undefined
  }

  #kept(deviceId: string, device: DeviceCredentials | undefined): Entry {
    const entry = { device, untilMs: this.#clock.nowMs() + (device ? knownMsMax : unknownMsMax) }
    const [entries, others] = device ? [this.#entries, this.#unknown] : [this.#unknown, this.#entries]
    others.delete(deviceId)
    entries.delete(deviceId)
    entries.set(deviceId, entry)
    if (entries.size > (device ? this.#devicesMax : unknownDevicesMax)) {
      const [oldest] = entries.keys()
      if (oldest !== undefined) entries.delete(oldest)
    }
    return entry
  }

  async #askTrust(): Promise<Trust> {
    try {
      while (true) {
        const noticed = this.#trustNoticed
        const trust = await this.#directory.trust()
        if (this.#trustNoticed !== noticed) continue
        this.#trust = trust
        return trust
      }
    } finally {
      this.#trustAsking = undefined
    }
  }

  #invalidate(invalidation: Invalidation): void {
    switch (invalidation.kind) {
      case 'devices':
        for (const deviceId of invalidation.deviceIds) {
          this.#entries.delete(deviceId)
          this.#unknown.delete(deviceId)
          if (this.#asking.has(deviceId)) this.#noticed.add(deviceId)
        }
        return
      case 'trust':
        this.#trust = undefined
        this.#trustNoticed++
        return
      case 'quotas':
        return
      case 'everything':
        this.#entries.clear()
        this.#unknown.clear()
        this.#noticedAll++
        this.#trust = undefined
        this.#trustNoticed++
    }
  }
}
