/**
 * What one edge process lets its devices do, by token buckets.
 *
 *   CONNECT ─▶ edge: connections/s ─▶ credentials ─▶ device: connections/min, debt ─▶ open
 *               waits, then refused    refused         refused
 *              (of a network that fails: look-ups/s, `failure-limits.ts`)
 *   chunk   ─▶ taken in whole ─▶ device and edge: messages/s, bytes/s ─▶ socket paused until nothing is owed [G-4]
 *   request ─▶ device and edge ─▶ waits a moment, else 429 with Retry-After
 *
 * Nothing that was taken in is dropped: buckets may owe, and the debt is waited for. Only a device's own debt ever ends its
 * connection; the edge's makes whoever sends wait. Quotas of single devices may change at any time: open connections follow with
 * their next chunk, and what was owed is forgotten. Buckets are a process's own: over several edge processes limits add up.
 */
import type { QuotaOverride } from '#control/quotas/quotas.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { TokenBucket } from '#runtime/token-bucket.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { FailureLimits } from './failure-limits.ts'
import { Noisiest } from './noisiest.ts'
import type { DeviceQuota, QuotaOptions } from './quota-settings.ts'

/** Reasons of `penstock_edge_shaped_total`. */
type ShapedBy = 'device' | 'edge' | 'connections'

/** A refusal that says when to come back. */
export class RateExceeded extends PenstockError {
  readonly retryAfterMs: number

  constructor(code: ErrorCode, message: string, retryAfterMs: number) {
    super(code, message)
    this.retryAfterMs = retryAfterMs
  }
}

/** Attempts of services are counted under this name, which no device id can be. */
export const serviceAttempts = '/service'

export class Quotas {
  readonly noisiest: Noisiest
  readonly #options: QuotaOptions
  readonly #clock: Clock
  readonly #metrics: Metrics<MetricName>
  readonly #messages: TokenBucket | undefined
  readonly #bytes: TokenBucket | undefined
  readonly #connections: TokenBucket | undefined
  readonly #failures: FailureLimits
  readonly #devices = new Map<string, DeviceBuckets>()
  #overrides: ReadonlyMap<string, DeviceQuota>
  /** Grows whenever buckets were given up for others. */
  version = 0

  constructor(options: QuotaOptions, clock: Clock, metrics: Metrics<MetricName>) {
    this.#options = options
    this.#overrides = options.deviceOverrides
    this.#clock = clock
    this.#metrics = metrics
    this.noisiest = new Noisiest(clock)
    const nowMs = clock.nowMs()
    this.#messages = bucketOf(options.edge.messagesPerSecond, nowMs)
    this.#bytes = bucketOf(options.edge.bytesPerSecond, nowMs)
    this.#connections = bucketOf(options.edge.connectionsPerSecond, nowMs)
    this.#failures = new FailureLimits(options.failuresPerMinute, limits.failureEntriesMax)
  }

  /**
   * Admits a CONNECT to the check of its credentials. One from where credentials fail takes its turn by `lookupWaitMs`
   * instead.
   * @returns milliseconds to wait before it
   * @throws INGEST_CONNECTION_RATE
   */
  connectWaitMs(): number {
    if (this.#connections === undefined) return 0
    const nowMs = this.#clock.nowMs()
    const waitMs = this.#connections.waitMs(nowMs)
    if (waitMs > limits.connectShapingMsMax) {
      throw this.#refused('INGEST_CONNECTION_RATE', 'too many connections a second; come back later', waitMs)
    }
    this.#connections.take(1, nowMs)
    if (waitMs > 0) this.#shaped('connections')
    return waitMs
  }

  /** A CONNECT from where credentials fail was let in: it counts, and need not wait. */
  connectionTaken(): void {
    this.#connections?.take(1, this.#clock.nowMs())
  }

  /** False while no credentials failed at all, so that nobody's address needs to be looked up. */
  get hasFailures(): boolean {
    return this.#failures.size > 0
  }

  /**
   * Takes a look-up in the registry for an attempt from where credentials failed too often.
   * @param clientId of a device, or a module of it; @param isKnown whether its device needs no look-up
   * @returns milliseconds to wait before it; `undefined` where they did not
   * @throws INGEST_FAILURES_EXCEEDED if so many wait there that it would take too long
   */
  lookupWaitMs(address: string, clientId: string, isKnown: (deviceId: string) => boolean): number | undefined {
    const { failingLookupsPerSecond, connectShapingMsMax } = limits
    const nowMs = this.#clock.nowMs()
    if (this.#failures.waitMs(address, clientId, nowMs) === 0) return undefined
    if (isKnown(clientId.split('/', 1)[0] ?? '')) return 0
    const waitMs = this.#failures.lookupWaitMs(address, failingLookupsPerSecond, connectShapingMsMax, nowMs)
    if (waitMs > connectShapingMsMax) throw this.#failing(waitMs)
    return waitMs
  }

  /** Credentials were refused. @returns what is told instead of the reason, to whoever failed too often */
  attemptFailed(address: string, deviceId: string): RateExceeded | undefined {
    const nowMs = this.#clock.nowMs()
    const waitMs = this.#failures.waitMs(address, deviceId, nowMs)
    this.#failures.failed(address, deviceId, nowMs)
    return waitMs > 0 ? this.#failing(waitMs) : undefined
  }

  /**
   * Admits a connection of a proven device and meters it; the caller closes the meter.
   * @param deviceId `undefined`: a client without an id, held to the edge's limits only
   * @throws INGEST_CONNECTION_RATE, INGEST_RATE_EXCEEDED while the device owes too much
   */
  openMeter(deviceId: string | undefined): Meter {
    const device = deviceId === undefined ? undefined : this.bucketsOf(deviceId)
    if (device !== undefined) {
      const nowMs = this.#clock.nowMs()
      const owedMs = device.waitMs(nowMs)
      if (owedMs > limits.shapingMsMax)
        throw this.#refused('INGEST_RATE_EXCEEDED', 'the device sent far more than it may; come back later', owedMs)
      const waitMs = device.connections?.missingMs(1, nowMs) ?? 0
      if (waitMs > 0)
        throw this.#refused('INGEST_CONNECTION_RATE', 'the device connects too often; come back later', waitMs)
      device.connections?.take(1, nowMs)
      device.connected++
    }
    return new Meter(this, deviceId, device)
  }

  /** HOT: once a chunk. @returns milliseconds until the sender may go on @throws INGEST_RATE_EXCEEDED */
  charge(device: DeviceBuckets | undefined, messages: number, bytes: number, nowMs: number): number {
    const edgeMs = this.#takeFromEdge(messages, bytes, nowMs)
    const deviceMs = device === undefined ? 0 : device.take(messages, bytes, nowMs)
    if (edgeMs === 0 && deviceMs === 0) return 0
    if (deviceMs > limits.shapingMsMax)
      throw this.#refused('INGEST_RATE_EXCEEDED', 'the device sent far more than it may', deviceMs)
    this.#shaped(deviceMs >= edgeMs ? 'device' : 'edge')
    return Math.max(deviceMs, Math.min(edgeMs, limits.shapingMsMax))
  }

  /** Asked before a request is read: one that will be refused costs nothing more. @throws INGEST_RATE_EXCEEDED, as `requestWaitMs` */
  requireRequest(deviceId: string): void {
    const nowMs = this.#clock.nowMs()
    this.#requireRequest(this.bucketsOf(deviceId)?.waitMs(nowMs) ?? 0, this.#edgeWaitMs(nowMs))
  }

  /**
   * Takes in one HTTP request.
   * @returns milliseconds that it must be held before
   * @throws INGEST_RATE_EXCEEDED (as `RateExceeded`): nothing of it was taken
   */
  requestWaitMs(deviceId: string, messages: number, bytes: number): number {
    const nowMs = this.#clock.nowMs()
    const device = this.bucketsOf(deviceId)
    const deviceMs = device?.waitMs(nowMs) ?? 0
    const edgeMs = this.#edgeWaitMs(nowMs)
    const waitMs = this.#requireRequest(deviceMs, edgeMs)
    this.#takeFromEdge(messages, bytes, nowMs)
    device?.take(messages, bytes, nowMs)
    if (waitMs > 0) this.#shaped(deviceMs >= edgeMs ? 'device' : 'edge')
    this.noisiest.add(deviceId, messages, bytes)
    return waitMs
  }

  /**
   * Takes the registry's quotas of single devices in place of those it gave before; what they do not name is as the settings say.
   * Cost: one pass over them.
   */
  override(quotas: readonly QuotaOverride[]): void {
    const before = this.#overrides
    const overrides = new Map(this.#options.deviceOverrides)
    for (const { deviceId, ...quota } of quotas) {
      const otherwise = overrides.get(deviceId) ?? this.#options.device
      assert(isQuota(quota), 'quotas that the registry tells are numbers, from 0')
      overrides.set(deviceId, {
        messagesPerSecond: quota.messagesPerSecond ?? otherwise.messagesPerSecond,
        bytesPerSecond: quota.bytesPerSecond ?? otherwise.bytesPerSecond,
        connectionsPerMinute: quota.connectionsPerMinute ?? otherwise.connectionsPerMinute,
      })
    }
    this.#overrides = overrides
    for (const deviceId of new Set([...before.keys(), ...overrides.keys()])) {
      if (isSame(before.get(deviceId) ?? this.#options.device, this.#quotaOf(deviceId))) continue
      this.#devices.delete(deviceId)
      this.version++
    }
  }

  /** Devices whose buckets are kept. */
  get deviceCount(): number {
    return this.#devices.size
  }

  #requireRequest(deviceMs: number, edgeMs: number): number {
    const waitMs = Math.max(deviceMs, edgeMs)
    if (waitMs <= limits.requestShapingMsMax) return waitMs
    throw this.#refused('INGEST_RATE_EXCEEDED', 'more than is allowed a second; come back later', waitMs)
  }

  #edgeWaitMs(nowMs: number): number {
    return Math.max(this.#messages?.waitMs(nowMs) ?? 0, this.#bytes?.waitMs(nowMs) ?? 0)
  }

  #takeFromEdge(messages: number, bytes: number, nowMs: number): number {
    let waitMs = 0
    if (this.#messages !== undefined) waitMs = this.#messages.take(messages, nowMs)
    if (this.#bytes !== undefined) waitMs = Math.max(waitMs, this.#bytes.take(bytes, nowMs))
    return waitMs
  }

  #quotaOf(deviceId: string): DeviceQuota {
    return this.#overrides.get(deviceId) ?? this.#options.device
  }

  /** The buckets of a device as its quota is now; `undefined`: it has no limit. */
  bucketsOf(deviceId: string): DeviceBuckets | undefined {
    const quota = this.#quotaOf(deviceId)
    if (quota.messagesPerSecond === 0 && quota.bytesPerSecond === 0 && quota.connectionsPerMinute === 0)
      return undefined
    const known = this.#devices.get(deviceId)
    if (known !== undefined) return known
    const nowMs = this.#clock.nowMs()
    if (this.#devices.size >= limits.quotaDevicesMax) this.#forgetSome(nowMs)
    const made = new DeviceBuckets(quota, nowMs)
    this.#devices.set(deviceId, made)
    return made
  }

  /**
   * Makes room: first what remembers nothing, and failing that the oldest that are not connected. Where all that are looked at are connected,
   * those that the next looks find make room for this one too.
   */
  #forgetSome(nowMs: number): void {
    const owing: string[] = []
    let looked = 0
    for (const [deviceId, device] of this.#devices) {
      if (device.connected === 0) {
        if (device.isFull(nowMs)) this.#devices.delete(deviceId)
        else owing.push(deviceId)
      }
      // Bounds what one new device costs; what was looked at moves behind the others.
      if (++looked >= forgetLookMax) break
      if (this.#devices.delete(deviceId)) this.#devices.set(deviceId, device)
    }
    for (const deviceId of owing) {
      if (this.#devices.size < limits.quotaDevicesMax) return
      this.#devices.delete(deviceId)
    }
  }

  #shaped(reason: ShapedBy): void {
    this.#metrics.series('penstock_edge_shaped_total', { reason }).add(1)
  }

  #failing(waitMs: number): RateExceeded {
    return this.#refused('INGEST_FAILURES_EXCEEDED', 'too many failed attempts; come back later', waitMs)
  }

  #refused(
    reason: 'INGEST_RATE_EXCEEDED' | 'INGEST_CONNECTION_RATE' | 'INGEST_FAILURES_EXCEEDED',
    text: string,
    waitMs: number,
  ): RateExceeded {
    this.#metrics.series('penstock_edge_over_limit_total', { reason }).add(1)
    return new RateExceeded(reason, text, waitMs)
  }
}

const forgetLookMax = 64

/** What is left out is no quota of the device's own. */
function isQuota(quota: Omit<QuotaOverride, 'deviceId'>): boolean {
  const { messagesPerSecond = 0, bytesPerSecond = 0, connectionsPerMinute = 0 } = quota
  return [messagesPerSecond, bytesPerSecond, connectionsPerMinute].every((value) => value >= 0)
}

function isSame(one: DeviceQuota, other: DeviceQuota): boolean {
  return (
    one.messagesPerSecond === other.messagesPerSecond &&
    one.bytesPerSecond === other.bytesPerSecond &&
    one.connectionsPerMinute === other.connectionsPerMinute
  )
}

class DeviceBuckets {
  /** Connections that hold these buckets: they are not forgotten. */
  connected = 0
  readonly connections: TokenBucket | undefined
  readonly #messages: TokenBucket | undefined
  readonly #bytes: TokenBucket | undefined

  constructor(quota: DeviceQuota, nowMs: number) {
    this.#messages = bucketOf(quota.messagesPerSecond, nowMs)
    this.#bytes = bucketOf(quota.bytesPerSecond, nowMs)
    this.connections =
      quota.connectionsPerMinute === 0
        ? undefined
        : new TokenBucket(quota.connectionsPerMinute / 60, quota.connectionsPerMinute, nowMs)
  }

  take(messages: number, bytes: number, nowMs: number): number {
    let waitMs = 0
    if (this.#messages !== undefined) waitMs = this.#messages.take(messages, nowMs)
    if (this.#bytes !== undefined) waitMs = Math.max(waitMs, this.#bytes.take(bytes, nowMs))
    return waitMs
  }

  waitMs(nowMs: number): number {
    return Math.max(this.#messages?.waitMs(nowMs) ?? 0, this.#bytes?.waitMs(nowMs) ?? 0)
  }

  isFull(nowMs: number): boolean {
    return [this.#messages, this.#bytes, this.connections].every((bucket) => bucket?.isFull(nowMs) ?? true)
  }
}

/** Counts what one connection sends. */
export class Meter {
  readonly #quotas: Quotas
  readonly #deviceId: string | undefined
  #device: DeviceBuckets | undefined
  /** Of the quotas when the buckets were taken. */
  #version: number
  #messages = 0
  #bytes = 0
  #isClosed = false

  constructor(quotas: Quotas, deviceId: string | undefined, device: DeviceBuckets | undefined) {
    this.#quotas = quotas
    this.#deviceId = deviceId
    this.#device = device
    this.#version = quotas.version
  }

  /** HOT: once a chunk; two additions and a comparison where no limit is set. As `Quotas.charge`. */
  charge(messages: number, bytes: number, nowMs: number): number {
    if (this.#version !== this.#quotas.version) this.#follow()
    this.#messages += messages
    this.#bytes += bytes
    return this.#quotas.charge(this.#device, messages, bytes, nowMs)
  }

  /** Called every second, and at the end. */
  report(): void {
    if (this.#bytes === 0) return
    if (this.#deviceId !== undefined) this.#quotas.noisiest.add(this.#deviceId, this.#messages, this.#bytes)
    this.#messages = 0
    this.#bytes = 0
  }

  #follow(): void {
    this.#version = this.#quotas.version
    // Whoever ends with a chunk is charged for it once it has ended. Buckets that it took then it would hold for ever.
    if (this.#isClosed) return
    const device = this.#deviceId === undefined ? undefined : this.#quotas.bucketsOf(this.#deviceId)
    if (device === this.#device) return
    this.#release()
    if (device !== undefined) device.connected++
    this.#device = device
  }

  close(): void {
    assert(!this.#isClosed, 'a meter is closed once')
    this.#isClosed = true
    this.report()
    this.#release()
  }

  #release(): void {
    if (this.#device === undefined) return
    assert(this.#device.connected > 0, 'a meter that is closed was counted')
    this.#device.connected--
  }
}

/** Holds one second's worth. */
function bucketOf(perSecond: number, nowMs: number): TokenBucket | undefined {
  return perSecond === 0 ? undefined : new TokenBucket(perSecond, perSecond, nowMs)
}
