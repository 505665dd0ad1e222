/** The checkers of each kind, with a hub that does wrong on purpose. */
import { describe, expect, test } from 'vitest'
import type { DeviceSocket, SocketFactory, SocketHandlers } from '#loadtest/generate/device-socket.ts'
import { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import { CommandsExchange } from './commands.ts'
import { DesiredExchange } from './desired.ts'
import type { DeviceExchange, ExchangeShared } from './device-exchange.ts'
import { publishPacket } from './exchange-packets.ts'
import { MethodsExchange } from './methods.ts'
import { ReportedExchange } from './reported.ts'
import type { ServiceAnswer, ServiceCalls, ServiceRequest } from './service-calls.ts'

/** The far end of one device and of its service. */
class FakeHub {
  handlers: SocketHandlers | undefined
  readonly asked: ServiceRequest[] = []
  answer: ServiceAnswer = { status: 204, body: '' }

  readonly shared: ExchangeShared = {
    sockets: { open: (handlers: SocketHandlers) => this.#open(handlers) } as unknown as SocketFactory,
    protocol: 4,
    qos: 1,
    counters: { opened: 0, lost: 0, refused: 0, connectedLate: 0, lastFault: '' },
    random: () => 0,
    calls: {
      call: async (request: ServiceRequest) => {
        this.asked.push(request)
        return this.answer
      },
    } as unknown as ServiceCalls,
    answered: new LatencyHistogram(),
    arrived: new LatencyHistogram(),
    reasons: new Map(),
    bodyBytes: 48,
    window: 1_000,
    intendedAtUs: () => 0,
    onReady: () => {},
  }

  /** CONNACK and SUBACK for so many filters. */
  accept(filters: number): void {
    this.#say(Buffer.from([0x20, 2, 0, 0]), Buffer.from([0x90, 2 + filters, 0, 1, ...Array(filters).fill(1)]))
  }

  publish(topic: string, body: object | string): void {
    this.#say(publishPacket(topic, typeof body === 'string' ? body : JSON.stringify(body), 4))
  }

  #say(...packets: readonly Buffer[]): void {
    const bytes = Buffer.concat(packets)
    this.handlers?.onBytes(bytes, bytes.length)
  }

  #open(handlers: SocketHandlers): DeviceSocket {
    this.handlers = handlers
    return { closed: false, write: () => {}, end: () => {}, pause: () => {}, resume: () => {}, destroy: () => {} }
  }
}

type Kind = new (
  identity: { deviceId: string; account: undefined; localAddress: undefined },
  index: number,
  shared: ExchangeShared,
) => DeviceExchange

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
}

/** A device of a kind that listens, with so many operations begun as its window allows. */
async function begun(kind: Kind, filters: number, count: number, isRead = false) {
  const hub = new FakeHub()
  const exchange = new kind({ deviceId: 'd', account: undefined, localAddress: undefined }, 0, hub.shared)
  exchange.due = count
  exchange.open()
  hub.accept(filters)
  if (isRead) hub.publish('$iothub/twin/res/200/?$rid=first', {})
  await turns()
  return { hub, exchange, counts: () => exchange.ledger.counts() }
}

describe('what devices report', () => {
  const answer = (number: number, version: number) => `$iothub/twin/res/204/?$rid=${number}&$version=${version}`

  test.each([
    [
      'in another order than the patches, each with its version',
      [
        [1, 3],
        [0, 2],
        [2, 4],
      ],
      { backwards: 0, twice: 0 },
    ],
    [
      'with versions in another order',
      [
        [0, 3],
        [1, 2],
        [2, 4],
      ],
      { backwards: 1, twice: 0 },
    ],
    [
      'with one version twice',
      [
        [0, 2],
        [1, 2],
        [2, 3],
      ],
      { backwards: 0, twice: 1 },
    ],
    [
      'twice',
      [
        [0, 2],
        [0, 2],
        [1, 3],
        [2, 4],
      ],
      { backwards: 0, twice: 1 },
    ],
  ] as const)('is answered %s', async (_what, answers, faults) => {
    const { hub, counts } = await begun(ReportedExchange, 1, 3)
    for (const [number, version] of answers) hub.publish(answer(number, version), '')
    await turns()
    expect(counts()).toMatchObject({ sent: 3, answered: 3, ...faults })
  })

  test('is lost if it was answered and the twin does not have it, nor a later one of its property', async () => {
    const { hub, exchange, counts } = await begun(ReportedExchange, 1, 10)
    for (let number = 0; number < 10; number++) hub.publish(answer(number, 2 + number), '')
    await turns()
    const reported = { k0: 8, k1: 9, k2: 2, k4: 4, k5: 5, k6: 6, k7: 7 }
    hub.answer = { status: 200, body: JSON.stringify({ properties: { reported } }) }
    await exchange.finish()
    expect(counts()).toMatchObject({ answered: 10, arrived: 9, lost: 1 })
    expect(exchange.ledger.faults()).toEqual(['lost 3'])
  })
})

describe('what devices are told', () => {
  const told = (version: number) => `$iothub/twin/PATCH/properties/desired/?$version=${version}`

  test('may be a later version that holds what was between', async () => {
    const { hub, counts } = await begun(DesiredExchange, 2, 3, true)
    hub.publish(told(2), { k0: 0 })
    hub.publish(told(4), { k1: 1, k2: 2 })
    expect(counts()).toMatchObject({ answered: 3, arrived: 3, lost: 0, backwards: 0, twice: 0 })
  })

  test('is lost if a later version does not hold it', async () => {
    const { hub, counts } = await begun(DesiredExchange, 2, 3, true)
    hub.publish(told(4), { k0: 0, k2: 2 })
    expect(counts()).toMatchObject({ answered: 3, arrived: 2, lost: 1 })
  })

  test('never goes backwards; the same version comes again on a new connection only', async () => {
    const { hub, exchange, counts } = await begun(DesiredExchange, 2, 2, true)
    hub.publish(told(3), { k0: 0, k1: 1 })
    exchange.onLost()
    // Its session was kept, which became known while its SUBSCRIBE was under way.
    hub.publish(told(3), { k0: 0, k1: 1 })
    exchange.onListening(false)
    expect(counts()).toMatchObject({ backwards: 0, twice: 0 })
    hub.publish(told(3), { k0: 0, k1: 1 })
    hub.publish(told(2), { k0: 0 })
    expect(counts()).toMatchObject({ backwards: 1, twice: 1 })
  })
})

describe('methods', () => {
  test('reach the device once, and are answered by what it said', async () => {
    const { hub, exchange, counts } = await begun(MethodsExchange, 1, 0)
    hub.answer = { status: 200, body: '{"status":200,"payload":{"seq":0}}' }
    exchange.due = 2
    exchange.pump()
    hub.publish('$iothub/methods/POST/load/?$rid=a', { seq: 0 })
    hub.publish('$iothub/methods/POST/load/?$rid=b', { seq: 1 })
    await turns()
    // The second got the answer of the first.
    expect(counts()).toMatchObject({ answered: 2, arrived: 2, twice: 1 })
    hub.publish('$iothub/methods/POST/load/?$rid=c', { seq: 1 })
    expect(counts().twice).toBe(2)
  })

  test('that were refused are not lost, and those of which nobody knows are missing', async () => {
    const { hub, exchange, counts } = await begun(MethodsExchange, 1, 0)
    for (const [number, error] of [404_103, 504_101].entries()) {
      hub.answer = {
        status: Math.floor(error / 1000),
        body: JSON.stringify({ Message: JSON.stringify({ errorCode: error }) }),
      }
      exchange.due = number + 1
      exchange.pump()
      await turns()
    }
    expect(counts()).toMatchObject({ refused: 1, unknown: 1, missing: 1, lost: 0 })
    expect([...hub.shared.reasons.keys()]).toEqual(['404103', '504101'])
  })
})

describe('commands', () => {
  const topic = 'devices/d/messages/devicebound/'

  test('come in their order, and again only after a lost connection', async () => {
    const { hub, exchange, counts } = await begun(CommandsExchange, 1, 4)
    for (const seq of [0, 1]) hub.publish(topic, { seq })
    exchange.onLost()
    for (const seq of [1, 2]) hub.publish(topic, { seq })
    expect(counts()).toMatchObject({ answered: 4, arrived: 3, redelivered: 1, lost: 1, backwards: 0, twice: 0 })
    hub.publish(topic, { seq: 2 })
    expect(counts().twice).toBe(1)
  })

  test('that first come behind a later one are out of order', async () => {
    const { hub, counts } = await begun(CommandsExchange, 1, 2)
    for (const seq of [1, 0]) hub.publish(topic, { seq })
    expect(counts()).toMatchObject({ arrived: 2, backwards: 1 })
  })

  test('that ended as dead letters are not lost', async () => {
    const { hub, exchange, counts } = await begun(CommandsExchange, 1, 2)
    hub.publish(topic, { seq: 0 })
    hub.answer = { status: 200, body: '[{"id":1,"messageId":"1"}]' }
    await exchange.finish()
    expect(counts()).toMatchObject({ arrived: 1, dead: 1, lost: 0 })
  })
})
