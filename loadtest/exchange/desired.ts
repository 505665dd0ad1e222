/**
 * Changes of desired properties by a service, which the device must be told, each or one that holds it, and never an older version behind
 * a newer one [G-8]. A service's changes of one device are made one after the other, so that their order is known.
 */
import type { DeviceIdentity } from '#loadtest/generate/device-identities.ts'
import { type Settlement, slotOf } from '#loadtest/ledger/exchange-ledger.ts'
import { desiredFilter, twinAnswerFilter } from '#schemas/hub-topics.ts'
import { DeviceExchange, type ExchangeShared, paddedJson } from './device-exchange.ts'
import type { ReceivedPublish } from './exchange-packets.ts'
import { arriveAll, slotName, slotsOf } from './slots.ts'

const toldPattern = /^\$iothub\/twin\/PATCH\/properties\/desired\/\?\$version=(\d+)/

export class DesiredExchange extends DeviceExchange {
  #toldVersion = 0
  /** Nothing was told on this connection so far: what was told last may come again. */
  #isNewConnection = true

  constructor(identity: DeviceIdentity, index: number, shared: ExchangeShared) {
    super(identity, index, [desiredFilter, twinAnswerFilter], 1, shared)
  }

  /** A device that listens for the first time reads its twin, and hears of each change from there on. */
  override onListening(isFirst: boolean): void {
    if (isFirst) this.device.publish('$iothub/twin/GET/?$rid=first', '')
    else this.becomeReady()
  }

  /** Not once it listens again: what was kept of its session may become known, and be told, while its SUBSCRIBE is under way. */
  override onLost(): void {
    this.#isNewConnection = true
  }

  protected async send(number: number): Promise<Settlement> {
    const desired = paddedJson({ [slotName(slotOf(number))]: number }, this.shared.bodyBytes)
    const path = `/twins/${this.device.deviceId}?api-version=2021-04-12`
    return this.settlementOf(await this.ask({ method: 'PATCH', path, body: `{"properties":{"desired":${desired}}}` }))
  }

  override onPublish({ topic, body }: ReceivedPublish): void {
    if (topic.startsWith('$iothub/twin/res/')) {
      // A twin that cannot be read now can be on the next connection.
      if (topic.startsWith('$iothub/twin/res/200/')) this.becomeReady()
      else this.device.drop()
      return
    }
    this.#noteVersion(Number(toldPattern.exec(topic)?.[1]))
    this.noteArrived(arriveAll(this.ledger, slotsOf(JSON.parse(body.toString()))))
  }

  #noteVersion(version: number): void {
    const before = this.#toldVersion
    if (version === before && !this.#isNewConnection) this.ledger.noteTwice(`version ${version} was told twice`)
    else if (!(version >= before)) this.ledger.noteBackwards(`version ${version} was told behind ${before}`)
    this.#isNewConnection = false
    this.#toldVersion = Math.max(before, version || 0)
  }
}
