import { describe, expect, test } from 'vitest'
import { edgeFixture, FakeTransport } from '#ingest/edge-fixture.ts'
import { Admission } from '#ingest/session/admission.ts'
import type { Delivery, Outcome } from '#ingest/session/delivery.ts'
import type { DeviceSession } from '#ingest/session/device-session.ts'
import type { Carrier } from '#ingest/session/session.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import type { CallOutcome, MethodCall } from '#schemas/downlink.ts'
import type { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { Methods } from './methods.ts'

const method: MethodCall = { kind: 'method', name: 'blink', payload: '{"on":true}', responseMs: 30_000 }
const id = { deviceId: 'd1', moduleId: undefined }

/** A connection without a protocol: what is sent to it is kept. */
class FakeCarrier implements Carrier {
  readonly protocol = 'mqtt'
  readonly silentMs = 0
  readonly sent: Delivery[] = []
  outcome: Outcome = 'sent'
  ended: PenstockError | undefined
  session: DeviceSession | undefined
  fail(error: PenstockError): void {
    this.ended = error
    this.session?.end(error.code)
  }
  async send(delivery: Delivery): Promise<Outcome> {
    if (this.outcome === 'sent') this.sent.push(delivery)
    return this.outcome
  }
}

function setUp() {
  const clock = virtualClock()
  const advance = (ms: number): void => {
    const untilMs = clock.nowMs() + ms
    while (clock.step(untilMs));
  }
  const { edge, count } = edgeFixture({ clock })
  const methods = new Methods(edge)
  edge.capabilities.add(methods)
  const connect = (listens = true, deviceId = 'd1') => {
    const carrier = new FakeCarrier()
    const claim = { clientId: deviceId, username: undefined, password: undefined, resumes: false }
    const identity = { ...id, deviceId, expiresAtMs: undefined }
    const session = new Admission(edge, new FakeTransport(), claim).open(identity, carrier)
    carrier.session = session
    session.hold(identity, deviceId)
    if (listens) session.subscribe('methods', 0)
    const answer = (requestId: string, body = '{"done":1}', status = 200) =>
      edge.capabilities.handlerOf('methodAnswer')?.(session, {
        kind: 'methodAnswer',
        requestId,
        status,
        version: undefined,
        body: Buffer.from(body),
      })
    const ridOf = (index: number): string => {
      const delivery = carrier.sent[index]
      return delivery?.feed === 'methods' ? delivery.requestId : ''
    }
    return { carrier, session, answer, ridOf }
  }
  return { advance, edge, count, methods, connect }
}

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const tick = () => new Promise((resolve) => setImmediate(resolve))

describe('a direct method', () => {
  test('is sent to the device and answered to whoever called, once [G-9]', async () => {
    const { methods, connect, count } = setUp()
    const { carrier, answer, ridOf } = connect()
    const call = methods.call(id, method, 0)
    await tick()
    expect(carrier.sent).toMatchObject([
      { feed: 'methods', name: 'blink', requestId: expect.stringMatching(/^[\da-f-]{36}$/) },
    ])
    expect(String(carrier.sent[0]?.body)).toBe('{"on":true}')
    answer(ridOf(0), ' {"done":12345678901234567890} ', -7)
    answer(ridOf(0), '"again"')
    expect(await call).toEqual({ kind: 'answered', status: -7, payload: '{"done":12345678901234567890}' })
    expect(count('penstock_edge_methods_stray_answers_total')).toBe(1)
  })

  test('of a device that is not here, or does not listen, is not sent', async () => {
    const { methods, connect } = setUp()
    expect(await methods.call(id, method, 0)).toEqual({ kind: 'notHere' })
    connect(false)
    expect(await methods.call(id, method, 0)).toEqual({ kind: 'notSubscribed' })
  })

  test('waits until the device listens, as long as it may', async () => {
    const { advance, methods, connect } = setUp()
    const { carrier, session, answer, ridOf } = connect(false)
    const inTime = methods.call(id, method, 1_000)
    const late = methods.call(id, method, 500)
    advance(700)
    expect(await late).toEqual({ kind: 'notSubscribed' })
    session.subscribe('methods', 1)
    await tick()
    expect(carrier.sent.length).toBe(1)
    answer(ridOf(0), '')
    expect(await inTime).toEqual({ kind: 'answered', status: 200, payload: '' })
  })

  test('is not waited for once nobody waits for its outcome, and counts once', async () => {
    const { methods, connect, count } = setUp()
    const { carrier, session } = connect(false)
    const left = new AbortController()
    const call = methods.call(id, method, 300_000, left.signal)
    left.abort()
    expect(await call).toEqual({ kind: 'notSubscribed' })
    session.subscribe('methods', 1)
    await tick()
    expect(carrier.sent).toEqual([])
    expect(count('penstock_edge_methods_total')).toBe(1)
  })

  test('whose connection ends while it waits was not sent; one that was sent is lost, and not sent again [G-9]', async () => {
    const { methods, connect } = setUp()
    const waiting = connect(false)
    const unsent = methods.call(id, method, 1_000)
    const newer = connect()
    expect(waiting.carrier.ended?.code).toBe('INGEST_TAKE_OVER')
    expect(await unsent).toEqual({ kind: 'gone' })
    const sent = methods.call(id, method, 1_000)
    await tick()
    newer.session.end('CLOSED_BY_PEER')
    expect(await sent).toEqual({ kind: 'lost' })
    const newest = connect()
    await tick()
    expect(newest.carrier.sent).toEqual([])
  })

  test('is answered by a device that is leaving for another edge, before its connection here ends; it is called here no more', async () => {
    const { advance, methods, connect } = setUp()
    const { session, answer, ridOf } = connect()
    const ended: string[] = []
    const call = methods.call(id, method, 0)
    await tick()
    methods.leave(session, () => ended.push('answered'))
    expect([ended, methods.isLeaving(session)]).toEqual([[], true])
    expect(await methods.call(id, method, 0)).toEqual({ kind: 'notHere' })
    answer(ridOf(0))
    expect(await call).toMatchObject({ kind: 'answered' })
    expect(ended).toEqual(['answered'])
    session.end('INGEST_TAKE_OVER')
    const silent = connect()
    void methods.call(id, method, 0)
    await tick()
    methods.leave(silent.session, () => ended.push('late'))
    advance(limits.methodsLeavingMsMax)
    expect(ended).toEqual(['answered', 'late'])
    const idle = connect()
    methods.leave(idle.session, () => ended.push('at once'))
    expect(ended.at(-1)).toBe('at once')
  })

  test('that is not answered in time is given up; its late answer is dropped', async () => {
    const { advance, methods, connect, count } = setUp()
    const { carrier, answer, ridOf } = connect()
    const call = methods.call(id, method, 0)
    await tick()
    advance(method.responseMs)
    expect(await call).toEqual({ kind: 'noAnswer' })
    answer(ridOf(0))
    expect([carrier.ended, count('penstock_edge_methods_stray_answers_total')]).toEqual([undefined, 1])
  })

  test.each([
    ['no JSON', '{'],
    ['longer than it may be', JSON.stringify('x'.repeat(limits.methodPayloadBytesMax))],
    ['one level too deep', nested(limits.methodPayloadDepthMax + 1)],
    ['nested without end', nested(limits.methodPayloadBytesMax / 2)],
  ])('whose answer is %s is answered as such', async (_what, body) => {
    const { methods, connect } = setUp()
    const { answer, ridOf } = connect()
    const call = methods.call(id, method, 0)
    await tick()
    answer(ridOf(0), body)
    expect(await call).toEqual({ kind: 'badAnswer' })
  })

  test.each([
    ['tooLarge', 'tooLarge'],
    ['full', 'busy'],
    ['gone', 'gone'],
  ] as const)('that could not be written (%s) says so', async (outcome, expected) => {
    const { methods, connect } = setUp()
    connect().carrier.outcome = outcome
    expect(await methods.call(id, method, 0)).toEqual({ kind: expected })
  })

  test('is answered by the session that it was sent to, and by no other', async () => {
    const { methods, connect } = setUp()
    const older = connect()
    const call = methods.call(id, method, 0)
    await tick()
    const other = connect(true, 'd2')
    other.answer(older.ridOf(0), '"forged"')
    older.answer(older.ridOf(0), '"mine"')
    expect(await call).toMatchObject({ payload: '"mine"' })
  })

  test('is not guessed: a device with more answers than calls is disconnected', () => {
    const { connect } = setUp()
    const { carrier, answer } = connect()
    for (let index = 0; index <= limits.strayAnswersPerSecondMax; index++) {
      expect(carrier.ended).toBeUndefined()
      answer(index.toString(16).padStart(16, '0'))
    }
    expect(carrier.ended?.code).toBe('INGEST_PROTOCOL_ERROR')
  })

  test('is one of a bounded number that wait until their device listens', async () => {
    const { methods, connect, advance } = setUp()
    const { session, carrier } = connect(false)
    const waiting = Array.from({ length: limits.methodsWaitingMax }, () => methods.call(id, method, 1_000))
    expect(await methods.call(id, method, 1_000)).toEqual({ kind: 'busy' })
    advance(1_001)
    expect(new Set((await Promise.all(waiting)).map(({ kind }) => kind))).toEqual(new Set(['notSubscribed']))
    session.subscribe('methods', 0)
    void methods.call(id, method, 1_000)
    await tick()
    expect(carrier.sent.length).toBe(1)
  })

  test('is one of a bounded number that a device has not answered', async () => {
    const { methods, connect } = setUp()
    const { carrier, answer, ridOf } = connect()
    const calls: Promise<CallOutcome>[] = []
    for (let index = 0; index < limits.methodsUnderWayPerDeviceMax; index++) calls.push(methods.call(id, method, 0))
    await tick()
    expect(await methods.call(id, method, 0)).toEqual({ kind: 'busy' })
    for (let index = 0; index < carrier.sent.length; index++) answer(ridOf(index))
    expect(new Set((await Promise.all(calls)).map(({ kind }) => kind))).toEqual(new Set(['answered']))
    const free = methods.call(id, method, 0)
    await tick()
    answer(ridOf(carrier.sent.length - 1))
    expect(await free).toMatchObject({ kind: 'answered' })
  })
})
