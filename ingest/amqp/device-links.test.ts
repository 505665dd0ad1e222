/** What the hub says to a device over links of AMQP, and what the device answers. */
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { DeviceRequest } from '#ingest/session/device-request.ts'
import { frame, performatives } from '#runtime/amqp/frames.ts'
import { ReadMessage, type WrittenMessage, writeMessage } from '#runtime/amqp/message.ts'
import { described, int, symbol, uint, uuid } from '#runtime/amqp/write-values.ts'
import { limits } from '#schemas/limits.ts'
import { attachFrame, flowFrame, type ReadAnswer, rawClient, transferFrame } from './raw-client-fixture.ts'

const [twin, methods, commands] = ['twin', 'methods/devicebound', 'messages/devicebound'].map(
  (place) => `/devices/d1/${place}`,
)

/** A device with a link in each direction, handles 0 (it sends) and 1 (it receives). */
async function linked(address: string, settleMode = 2) {
  const fixture = edgeFixture()
  const requests: DeviceRequest[] = []
  const take = (_session: unknown, request: DeviceRequest) => {
    requests.push(request)
    return request.kind === 'methodAnswer' ? undefined : { status: 200, version: 7, body: Buffer.from('{"t":1}') }
  }
  fixture.edge.capabilities.add({ requests: { twinRead: take, twinReport: take, methodAnswer: take } })
  const client = rawClient(fixture)
  client.begin()
  if (address !== commands) client.say(attachFrame(0, 0, address))
  client.say(attachFrame(0, 1, address, { receives: true, settleMode }), flowFrame(0, 1, 100))
  await client.answers()
  const session = fixture.edge.sessions.get('d1') ?? expect.fail()
  const said = async () => received(await client.answers())
  const ask = (deliveryId: number, message: WrittenMessage) =>
    client.say(transferFrame({ deliveryId, payload: writeMessage(message) }))
  return { ...client, requests, session, said, ask }
}

interface Received {
  readonly message: ReadMessage
  readonly settled: boolean
  readonly tagBytes: number
  readonly deliveryId: number | undefined
}

function received(answers: readonly ReadAnswer[]): Received[] {
  return answers
    .filter(({ performative }) => performative.code === performatives.transfer)
    .map(({ performative, payload }) => ({
      message: new ReadMessage(payload, 0, payload.length),
      settled: performative.flag(4),
      tagBytes: (performative.at(2) as Buffer).length,
      deliveryId: performative.number(1),
    }))
}

describe('twins', () => {
  test('a request is answered with its correlation id, in the type that it had', async () => {
    const { ask, said, requests } = await linked(twin!)
    const correlationId = uuid('00112233-4455-6677-8899-aabbccddeeff')
    ask(0, { annotations: [[symbol('operation'), 'GET']], properties: { correlationId }, body: Buffer.from(' ') })
    ask(1, {
      annotations: [
        [symbol('operation'), 'PATCH'],
        [symbol('resource'), '/properties/reported'],
        [symbol('version'), int(3)],
      ],
      properties: { correlationId: 'second' },
      body: Buffer.from('{"a":1}'),
    })
    const [read, reported] = await said()
    expect(read?.message.rawField('correlationId')).toEqual(correlationId)
    expect([...(read?.message.annotations ?? [])]).toEqual([
      ['status', 200],
      ['version', 7],
    ])
    expect(String(read?.message.body)).toBe('{"t":1}')
    expect(reported?.message.field('correlationId')).toBe('second')
    expect(requests.map(({ kind, version, body }) => [kind, version, String(body)])).toEqual([
      ['twinRead', undefined, ' '],
      ['twinReport', 3, '{"a":1}'],
    ])
  })

  test('desired properties are told once they are asked for, and no more once they are not', async () => {
    const { ask, said, session } = await linked(twin!)
    const change = { feed: 'desired', version: 4, body: Buffer.from('{"b":2}') } as const
    expect(await session.send(change)).toBe('notSubscribed')
    const resource = [symbol('resource'), '/notifications/twin/properties/desired'] as const
    ask(0, { annotations: [[symbol('operation'), 'PUT'], resource], properties: { correlationId: 'on' } })
    expect((await said()).map(({ message }) => message.annotations.get('status'))).toEqual([200])
    expect(await session.send(change)).toBe('sent')
    const [told] = await said()
    expect([...(told?.message.annotations ?? [])]).toEqual([
      ['resource', '/properties/desired'],
      ['version', 4],
    ])
    expect([told?.message.field('correlationId'), String(told?.message.body)]).toEqual([null, '{"b":2}'])
    ask(1, { annotations: [[symbol('operation'), 'DELETE'], resource], properties: { correlationId: 'off' } })
    await said()
    expect(await session.send(change)).toBe('notSubscribed')
  })

  test('a request without a correlation id ends its link; an operation that is none is refused', async () => {
    const { ask, said, answers } = await linked(twin!)
    ask(0, { annotations: [[symbol('operation'), 'POST']], properties: { correlationId: 'x' } })
    expect((await said())[0]?.message.annotations.get('status')).toBe(400)
    ask(1, { annotations: [[symbol('operation'), 'GET']] })
    expect((await answers()).some(({ performative }) => performative.code === performatives.detach)).toBe(true)
  })
})

test('a method reaches the device, and its answer the caller [G-9]', async () => {
  const { ask, said, session, requests } = await linked(methods!)
  const call = {
    feed: 'methods',
    name: 'reboot',
    requestId: '01234567-89ab-4def-8123-456789abcdef',
    body: Buffer.from('{"in":5}'),
  } as const
  expect(await session.send(call)).toBe('sent')
  const [told] = await said()
  expect(told?.message.applicationProperties.get('IoThub-methodname')).toBe('reboot')
  // Clients give it back as a UUID, or as its text.
  expect(told?.message.rawField('correlationId')).toEqual(uuid(call.requestId))
  expect([told?.message.field('correlationId'), String(told?.message.body)]).toEqual([call.requestId, '{"in":5}'])
  for (const [index, correlationId] of [uuid(call.requestId), call.requestId].entries())
    ask(index, {
      properties: { correlationId },
      applicationProperties: [['IoThub-status', int(201)]],
      body: Buffer.from('"done"'),
    })
  await said()
  const answer = { kind: 'methodAnswer', requestId: call.requestId, status: 201 }
  expect(requests).toMatchObject([answer, answer])
})

describe('commands', () => {
  const command = {
    feed: 'commands',
    systemProperties: new Map([
      ['mid', 'm-1'],
      ['to', '/devices/d1/messages/devicebound'],
      ['exp', '2030-01-01T00:00:00.000Z'],
    ]),
    applicationProperties: new Map([
      ['iothub-ack', 'full'],
      ['level', '3'],
    ]),
    body: Buffer.from('do it'),
    isRepeated: false,
  } as const
  const outcome = (code: number, deliveryId: number, settled = true): Buffer =>
    frame(0, performatives.disposition, [true, uint(deliveryId), null, settled, described(code, [])])

  test.each([
    ['accepted', 0x24, 'acknowledged'],
    ['rejected', 0x25, 'rejected'],
    ['released', 0x26, 'abandoned'],
    ['modified', 0x27, 'abandoned'],
  ])('one that is %s is settled so [G-7]', async (_name, code, expected) => {
    const { said, say, session } = await linked(commands!)
    const sent = session.send(command)
    const [got] = await said()
    expect([got?.settled, got?.tagBytes]).toEqual([false, 16])
    const { message } = got ?? expect.fail()
    expect([message.field('messageId'), message.field('to'), message.field('expiry')]).toEqual([
      'm-1',
      '/devices/d1/messages/devicebound',
      new Date('2030-01-01T00:00:00.000Z'),
    ])
    expect([...message.applicationProperties]).toEqual([
      ['iothub-ack', 'full'],
      ['level', '3'],
    ])
    say(outcome(code, got?.deliveryId ?? -1))
    expect(await sent).toBe(expected)
  })

  test('are settled by ranges, each as far as its range goes', async () => {
    const { said, say, session } = await linked(commands!)
    const sent = Array.from({ length: 4 }, () => session.send(command))
    await said()
    say(frame(0, performatives.disposition, [true, uint(1), uint(2), true, described(0x25, [])]))
    say(outcome(0x24, 0), outcome(0x26, 3))
    expect(await Promise.all(sent)).toEqual(['acknowledged', 'rejected', 'rejected', 'abandoned'])
  })

  test('whose outcome waits for an answer gets one', async () => {
    const { said, say, session, answers } = await linked(commands!)
    const sent = session.send(command)
    await said()
    say(outcome(0x24, 0, false))
    expect(await sent).toBe('acknowledged')
    expect(
      (await answers()).map(({ performative }) => [performative.code, performative.at(0), performative.at(3)]),
    ).toEqual([[performatives.disposition, false, true]])
  })

  test('wait for credit, in order; those that are out when the link ends may have come [G-7]', async () => {
    const { said, say, session, answers } = await linked(commands!)
    say(flowFrame(0, 1, 0))
    const sent = [session.send(command), session.send(command)]
    expect(await said()).toEqual([])
    say(flowFrame(0, 1, 1))
    expect((await said()).length).toBe(1)
    say(frame(0, performatives.detach, [uint(1), true]))
    expect(await Promise.all(sent)).toEqual(['lost', 'gone'])
    await answers()
    expect(await session.send(command)).toBe('notSubscribed')
  })

  test('more than may wait are given back at once [G-4]', async () => {
    const { say, session } = await linked(commands!)
    say(flowFrame(0, 1, 0))
    const waiting = Array.from({ length: limits.amqpWaitingMax }, () => session.send(command))
    expect(await session.send(command)).toBe('full')
    expect(waiting.length).toBe(limits.amqpWaitingMax)
  })

  test('of which too many are not settled wait for those that are [G-4]', async () => {
    const { said, say, session } = await linked(commands!)
    say(flowFrame(0, 1, 100_000))
    const ids: number[] = []
    while (ids.length < limits.amqpUnsettledSentMax) {
      void session.send(command)
      for (const { deliveryId } of await said()) ids.push(deliveryId ?? -1)
    }
    void session.send(command)
    expect(await said()).toEqual([])
    say(outcome(0x24, ids[5] ?? -1))
    expect((await said()).length).toBe(1)
  })

  test('a long one leaves in frames that the client takes', async () => {
    const { session, answers } = await linked(commands!)
    void session.send({ ...command, body: Buffer.alloc(150_000, 'z') })
    const parts = (await answers()).filter(({ performative }) => performative.code === performatives.transfer)
    expect(parts.map(({ performative }) => performative.flag(5))).toEqual([true, true, false])
    const payload = Buffer.concat(parts.map((part) => part.payload))
    expect(new ReadMessage(payload, 0, payload.length).body.length).toBe(150_000)
  })
})
