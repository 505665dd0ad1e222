/** Methods that a service calls and the device answers with the number that it was called with. No call may reach it twice [G-9]. */
import type { DeviceIdentity } from '#loadtest/generate/device-identities.ts'
import type { Settlement } from '#loadtest/ledger/exchange-ledger.ts'
import { methodFilter } from '#schemas/hub-topics.ts'
import { DeviceExchange, type ExchangeShared, numberIn, paddedJson } from './device-exchange.ts'
import type { ReceivedPublish } from './exchange-packets.ts'

/** Below the 16 calls of a device that the hub takes. */
const underWayMax = 12
/** A device that moves is waited for. */
const connectSeconds = 10
const responseSeconds = 30

export class MethodsExchange extends DeviceExchange {
  constructor(identity: DeviceIdentity, index: number, shared: ExchangeShared) {
    super(identity, index, [methodFilter], underWayMax, shared)
  }

  protected async send(number: number): Promise<Settlement> {
    const payload = paddedJson({ seq: number }, this.shared.bodyBytes)
    const answer = await this.ask({
      method: 'POST',
      path: `/twins/${this.device.deviceId}/methods?api-version=2021-04-12`,
      body: `{"methodName":"load","connectTimeoutInSeconds":${connectSeconds},"responseTimeoutInSeconds":${responseSeconds},"payload":${payload}}`,
    })
    const how = this.settlementOf(answer)
    if (how !== 'answered') return answer !== undefined && /40410[24]/.test(answer.body) ? 'unknown' : how
    const answered = numberIn(JSON.stringify(payloadIn(answer?.body ?? '')), 'seq')
    if (answered !== number) this.ledger.noteTwice(`${number} was answered with what belongs to ${answered}`)
    return 'answered'
  }

  override onPublish({ topic, body }: ReceivedPublish): void {
    const number = numberIn(body.toString(), 'seq')
    if (this.ledger.arrive(number, false)) this.noteArrived([number])
    this.device.publish(`$iothub/methods/res/200/?$rid=${topic.split('$rid=')[1]}`, JSON.stringify({ seq: number }))
  }
}

function payloadIn(body: string): unknown {
  const answer: unknown = JSON.parse(body)
  return typeof answer === 'object' && answer !== null && 'payload' in answer ? answer.payload : undefined
}
