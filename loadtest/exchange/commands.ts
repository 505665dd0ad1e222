/**
 * Commands: messages from a service to the device, which come in their order, at least once, or end as dead letters [G-7]. A service sends
 * those of one device one after the other, so that their order is known; where the queue is full it tries again.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { DeviceIdentity } from '#loadtest/generate/device-identities.ts'
import type { Settlement } from '#loadtest/ledger/exchange-ledger.ts'
import { commandPath } from '#schemas/hub-topics.ts'
import { DeviceExchange, type ExchangeShared, numberIn, paddedJson } from './device-exchange.ts'
import type { ReceivedPublish } from './exchange-packets.ts'

const retryMs = 50
const pageMax = 100

export class CommandsExchange extends DeviceExchange {
  /** The newest that was seen for the first time. */
  #newest = -1
  readonly #seenOnConnection = new Set<number>()

  constructor(identity: DeviceIdentity, index: number, shared: ExchangeShared) {
    super(identity, index, [`${commandPath(identity.deviceId)}/#`], 1, shared)
  }

  protected async send(number: number): Promise<Settlement> {
    const request = {
      method: 'POST',
      path: `/devices/${this.device.deviceId}/messages/deviceBound?api-version=2021-04-12`,
      headers: { 'iothub-messageid': String(number) },
      body: paddedJson({ seq: number }, this.shared.bodyBytes),
    }
    for (;;) {
      const answer = await this.ask(request)
      const isFull = answer?.status === 403 || answer?.status === 429
      if (!isFull || this.isStopped) return this.settlementOf(answer)
      await wait(retryMs)
    }
  }

  override onPublish({ body }: ReceivedPublish): void {
    const number = numberIn(body.toString(), 'seq')
    const isFirst = this.ledger.arrive(number, !this.#seenOnConnection.has(number))
    this.#seenOnConnection.add(number)
    if (!isFirst) return
    this.noteArrived([number])
    if (number < this.#newest && !this.ledger.mayComeLate(number))
      this.ledger.noteBackwards(`${number} came behind ${this.#newest}`)
    this.#newest = Math.max(this.#newest, number)
  }

  override onLost(): void {
    this.#seenOnConnection.clear()
  }

  override async finish(): Promise<void> {
    if (this.ledger.unseen === 0) return
    const path = `/api/commands/dead?device=${this.device.deviceId}&top=${pageMax}`
    for (let after = '0', isLast = false; !isLast; ) {
      const answer = await this.askInTheEnd({ method: 'GET', path, headers: { 'x-ms-continuation': after } })
      if (answer?.status !== 200) return
      const page = JSON.parse(answer.body) as readonly { readonly id: number; readonly messageId: string }[]
      for (const { messageId } of page) this.ledger.noteDead(Number(messageId))
      after = String(page.at(-1)?.id)
      isLast = page.length < pageMax
    }
  }
}
