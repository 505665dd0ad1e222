/**
 * The operations of one device: which are due, which are under way, and what became of each. What an operation is, its kind says
 * (`reported.ts`, `desired.ts`, `methods.ts`, `commands.ts`).
 */
import { setTimeout as wait } from 'node:timers/promises'
import { nowUs } from '#loadtest/generate/device-connection.ts'
import type { DeviceIdentity } from '#loadtest/generate/device-identities.ts'
import { ExchangeLedger, type Settlement } from '#loadtest/ledger/exchange-ledger.ts'
import type { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import { ExchangeDevice, type ExchangeDeviceShared, type ExchangeListener } from './exchange-device.ts'
import type { ReceivedPublish } from './exchange-packets.ts'
import type { ServiceAnswer, ServiceCalls, ServiceRequest } from './service-calls.ts'

/** A hub that was just killed is back within half a minute. */
const endTriesMax = 60
const endPauseMs = 500
const backOffMs = 250

/** What all devices of a generator process share. */
export interface ExchangeShared extends ExchangeDeviceShared {
  readonly calls: ServiceCalls
  readonly answered: LatencyHistogram
  readonly arrived: LatencyHistogram
  /** Why operations were refused or not answered. */
  readonly reasons: Map<string, number>
  /** Bytes of a document, payload or body, where it needs no more. */
  readonly bodyBytes: number
  /** Most operations of a device under way at once. */
  readonly window: number
  /** When a device's operation was to begin, UTC microseconds. */
  intendedAtUs(deviceIndex: number, number: number): number
  onReady(): void
}

export abstract class DeviceExchange implements ExchangeListener {
  readonly ledger = new ExchangeLedger()
  /** Operations that this device may have begun, from the first on; raised by the schedule. */
  due = 0
  /** Nothing new is begun. */
  isStopped = false
  protected readonly device: ExchangeDevice
  protected readonly shared: ExchangeShared
  readonly #index: number
  readonly #underWayMax: number
  #isReady = false
  #isBackingOff = false

  /** @param underWayMax operations of a device under way at once, whatever the window */
  constructor(
    identity: DeviceIdentity,
    index: number,
    filters: readonly string[],
    underWayMax: number,
    shared: ExchangeShared,
  ) {
    this.#index = index
    this.#underWayMax = Math.min(underWayMax, shared.window)
    this.shared = shared
    this.device = new ExchangeDevice(identity, filters, shared, this)
  }

  get deviceId(): string {
    return this.device.deviceId
  }

  get isOpen(): boolean {
    return this.device.isListening
  }

  /** Nothing is to be begun or awaited: all that was begun is settled, and all that was answered has arrived. */
  get isDrained(): boolean {
    const { sent, settled } = this.ledger
    return (this.isStopped || sent >= this.due) && settled === sent && this.hasArrived
  }

  open(): void {
    this.device.open()
  }

  drop(): void {
    this.device.drop()
  }

  ping(): void {
    this.device.ping()
  }

  close(): void {
    this.device.finish()
  }

  /** Begins what is allowed now. */
  pump(): void {
    const { ledger } = this
    while (
      !this.isStopped &&
      !this.#isBackingOff &&
      this.canSend &&
      ledger.sent < this.due &&
      ledger.sent - ledger.settled < this.#underWayMax
    ) {
      const number = ledger.begin()
      this.send(number).then((how) => this.#settle(number, how))
    }
  }

  onListening(_isFirst: boolean): void {
    this.becomeReady()
  }

  abstract onPublish(publish: ReceivedPublish): void

  onLost(): void {}

  /** Looks at what only the hub can tell, once all is over. */
  async finish(): Promise<void> {}

  /** One operation, from its beginning until its sender was told. */
  protected abstract send(number: number): Promise<Settlement>

  /** Whether operations may begin; a service's may once its device has listened for the first time. */
  protected get canSend(): boolean {
    return this.#isReady
  }

  /** Whether everything is seen that will be; what is only seen in the end is not waited for. */
  protected get hasArrived(): boolean {
    return this.ledger.unseen === 0
  }

  protected becomeReady(): void {
    if (!this.#isReady) this.shared.onReady()
    this.#isReady = true
    this.pump()
  }

  protected noteArrived(numbers: readonly number[]): void {
    for (const number of numbers) this.shared.arrived.add(this.#elapsedUs(number), 1)
  }

  /** @returns undefined if nobody answered, which is written down */
  protected async ask(request: ServiceRequest): Promise<ServiceAnswer | undefined> {
    try {
      return await this.shared.calls.call(request)
    } catch (error) {
      this.noteReason(error instanceof Error ? error.message.slice(0, 60) : String(error))
      return undefined
    }
  }

  /** The same for what only reads: asked again while the hub has no answer, for a while. */
  protected async askInTheEnd(request: ServiceRequest): Promise<ServiceAnswer | undefined> {
    for (let tries = 0; tries < endTriesMax; tries++) {
      const answer = await this.ask(request)
      if (answer !== undefined && answer.status < 500) return answer
      await wait(endPauseMs)
    }
    return undefined
  }

  /** What a service's answer says of an operation that is safe to take for not done where it was refused. */
  protected settlementOf(answer: ServiceAnswer | undefined): Settlement {
    if (answer === undefined) return 'unknown'
    if (answer.status < 300) return 'answered'
    this.noteReason(/errorCode\\?":(\d+)/.exec(answer.body)?.[1] ?? `HTTP ${answer.status}`)
    return answer.status < 500 ? 'refused' : 'unknown'
  }

  protected noteReason(reason: string): void {
    const { reasons } = this.shared
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }

  #settle(number: number, how: Settlement): void {
    if (how === 'answered') this.shared.answered.add(this.#elapsedUs(number), 1)
    this.ledger.settle(number, how)
    if (how === 'unknown') this.#backOff()
    this.pump()
  }

  /** A hub that does not answer is left alone for a moment; what becomes due meanwhile waits. */
  #backOff(): void {
    if (this.#isBackingOff) return
    this.#isBackingOff = true
    setTimeout(() => {
      this.#isBackingOff = false
      this.pump()
    }, backOffMs)
  }

  #elapsedUs(number: number): number {
    return nowUs() - this.shared.intendedAtUs(this.#index, number)
  }
}

/** A JSON object with these members, and a text that makes it as long as is asked for. */
export function paddedJson(members: Readonly<Record<string, number>>, bytes: number): string {
  const json = JSON.stringify(members)
  const missing = bytes - json.length - ',"pad":""'.length
  return missing > 0 ? `${json.slice(0, -1)},"pad":"${'x'.repeat(missing)}"}` : json
}

/** The member of a JSON object; NaN if there is none, or it is no number. */
export function numberIn(json: string, name: string): number {
  try {
    const value: unknown = JSON.parse(json)
    const member = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
    return typeof member === 'number' ? member : Number.NaN
  } catch {
    return Number.NaN
  }
}
