/** Patches that a device reports. The store is their receiver: in the end its document must show each that was answered 204 [G-8]. */
import type { DeviceIdentity } from '#loadtest/generate/device-identities.ts'
import { type Settlement, slotOf } from '#loadtest/ledger/exchange-ledger.ts'
import { twinAnswerFilter } from '#schemas/hub-topics.ts'
import { DeviceExchange, type ExchangeShared, paddedJson } from './device-exchange.ts'
import type { ReceivedPublish } from './exchange-packets.ts'
import { arriveAll, slotName, slotsOf } from './slots.ts'

/** As many as the hub's quota lets a device send at once, and more than its clients do. */
const underWayMax = 20
const answerPattern = /^\$iothub\/twin\/res\/(\d+)\/\?\$rid=(\d+)(?:&\$version=(\d+))?/

export class ReportedExchange extends DeviceExchange {
  readonly #waiting = new Map<number, (how: Settlement) => void>()
  /** Versions of the last patches that were answered, by their number. */
  readonly #versions = new Map<number, number>()

  constructor(identity: DeviceIdentity, index: number, shared: ExchangeShared) {
    super(identity, index, [twinAnswerFilter], underWayMax, shared)
  }

  protected override get canSend(): boolean {
    return this.device.isListening
  }

  protected override get hasArrived(): boolean {
    return true
  }

  protected send(number: number): Promise<Settlement> {
    const patch = paddedJson({ [slotName(slotOf(number))]: number }, this.shared.bodyBytes)
    this.device.publish(`$iothub/twin/PATCH/properties/reported/?$rid=${number}`, patch)
    return new Promise((resolve) => this.#waiting.set(number, resolve))
  }

  override onPublish({ topic }: ReceivedPublish): void {
    const [, status = '', requestId = '', version] = answerPattern.exec(topic) ?? []
    const number = Number(requestId)
    const settle = this.#waiting.get(number)
    if (settle === undefined) {
      this.ledger.noteTwice(`an answer to ${requestId}, which was not waited for`)
      return
    }
    this.#waiting.delete(number)
    if (status !== '204') {
      this.noteReason(`status ${status}`)
      settle(Number(status) < 500 ? 'refused' : 'unknown')
      return
    }
    this.#noteVersion(number, Number(version))
    settle('answered')
  }

  override onLost(): void {
    for (const settle of this.#waiting.values()) settle('unknown')
    this.#waiting.clear()
    // Order is promised to one connection.
    this.#versions.clear()
  }

  override async finish(): Promise<void> {
    const answer = await this.askInTheEnd({
      method: 'GET',
      path: `/twins/${this.device.deviceId}?api-version=2021-04-12`,
    })
    if (answer?.status !== 200) return
    const { properties } = JSON.parse(answer.body) as { readonly properties?: { readonly reported?: object } }
    arriveAll(this.ledger, slotsOf(properties?.reported ?? {}))
  }

  /** Each patch has a version of its own, and versions have the order of the patches, whichever is answered first. */
  #noteVersion(number: number, version: number): void {
    this.#versions.set(number, version)
    for (let other = number - underWayMax; other <= number + underWayMax; other++) {
      const known = this.#versions.get(other)
      if (known === undefined || other === number) continue
      if (known === version) this.ledger.noteTwice(`${number} was answered with version ${version}, as ${other} was`)
      else if (known < version !== other < number)
        this.ledger.noteBackwards(`${number} was answered with version ${version}, and ${other} with ${known}`)
    }
    // What is further away was settled before this one was sent.
    this.#versions.delete(number - 2 * underWayMax)
  }
}
