/** AMQP in bytes: what a client may say, and what ends it. */
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { unlimitedDevice, unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { tickMs } from '#ingest/session/edge-context.ts'
import type { Principal } from '#ingest/session/principal.ts'
import { frame, performatives } from '#runtime/amqp/frames.ts'
import { ReadMessage, writeMessage } from '#runtime/amqp/message.ts'
import { DescribedValue } from '#runtime/amqp/read-values.ts'
import { described, uint } from '#runtime/amqp/write-values.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import {
  attachFrame,
  beginFrame,
  dataMessage,
  flowFrame,
  framesIn,
  header,
  openFrame,
  putToken,
  type ReadAnswer,
  rawClient,
  saslInit,
  transferFrame,
} from './raw-client-fixture.ts'
import { batchFormat } from './telemetry-target.ts'

const events = (deviceId: string): string => `/devices/${deviceId}/messages/events`

/** A connection with one sending link of `d1`, handle 0. */
async function sending(fixture = edgeFixture()) {
  const client = rawClient(fixture)
  client.begin()
  client.say(attachFrame(0, 0, events('d1')))
  const answers = await client.answers()
  return { ...client, first: answers }
}

const codes = (answers: readonly ReadAnswer[]): number[] => answers.map(({ performative }) => performative.code)
const ofKind = (answers: readonly ReadAnswer[], code: number) =>
  answers.filter(({ performative }) => performative.code === code)

/** The condition of the error in a DETACH, CLOSE or a rejected outcome. */
function conditionIn({ performative }: ReadAnswer, index: number): unknown {
  let value = performative.at(index)
  if (value instanceof DescribedValue && value.descriptor === 0x25 && Array.isArray(value.value))
    value = value.value[0] ?? null
  return value instanceof DescribedValue && Array.isArray(value.value) ? value.value[0] : undefined
}

const runs = (answers: readonly ReadAnswer[]): unknown[] =>
  ofKind(answers, performatives.disposition).map(({ performative }) => {
    const state = performative.at(4)
    return [
      performative.number(1),
      performative.number(2),
      state instanceof DescribedValue ? state.descriptor : undefined,
    ]
  })

describe('a connection', () => {
  test('begins with SASL or without, and is answered in kind', async () => {
    const plain = rawClient()
    plain.begin()
    expect(plain.transport.bytes.subarray(0, 8)).toEqual(header(false))
    expect(codes(await plain.answers())).toEqual([0x10, 0x11])
    const sasl = rawClient()
    sasl.say(header(true))
    expect(framesIn(sasl.transport.bytes).map(({ performative }) => performative.at(0))).toEqual([
      ['PLAIN', 'ANONYMOUS', 'EXTERNAL', 'MSSBCBS'],
    ])
    await sasl.answers()
    sasl.say(saslInit('MSSBCBS'), header(false), openFrame())
    const [outcome, open] = await sasl.answers()
    expect([outcome?.performative.code, outcome?.performative.at(0), open?.performative.code]).toEqual([0x44, 0, 0x10])
  })

  test('by SASL PLAIN is a device from then on; a wrong password is told', async () => {
    const fixture = edgeFixture({
      authenticate: ({ clientId, password }) => {
        if (String(password) !== 'secret') throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
        return { deviceId: clientId, moduleId: undefined, expiresAtMs: undefined }
      },
    })
    const good = rawClient(fixture)
    good.say(header(true), saslInit('PLAIN', Buffer.from('\0d1@sas.hub\0secret')))
    expect((await good.answers()).at(-1)?.performative.at(0)).toBe(0)
    expect([...fixture.edge.sessions.keys()]).toEqual(['d1'])
    const bad = rawClient(fixture)
    bad.say(header(true), saslInit('PLAIN', Buffer.from('\0d1@sas.hub\0guessed')))
    expect((await bad.answers()).at(-1)?.performative.at(0)).toBe(1)
    expect(bad.transport.ended).toBe(true)
  })

  test('answers a token in the type of its message id, and lets the device in', async () => {
    const { begin, say, answers, edge } = rawClient()
    begin()
    say(attachFrame(0, 0, '$cbs'), attachFrame(0, 1, '$cbs', { receives: true }), flowFrame(0, 1, 10))
    await answers()
    say(putToken(0, 'hub/devices/d1', 'SharedAccessSignature sr=hub%2Fdevices%2Fd1&sig=x&se=1'))
    const [answer] = ofKind(await answers(), performatives.transfer)
    const message = new ReadMessage(answer?.payload ?? Buffer.alloc(0), 0, answer?.payload.length ?? 0)
    expect(message.field('correlationId')).toBe('token-0')
    expect(message.applicationProperties.get('status-code')).toBe(200)
    expect([...edge.sessions.keys()]).toEqual(['d1'])
  })

  test('is told to say something now and then, and says something itself', async () => {
    const { connection, say, answers, edge, transport } = rawClient()
    say(header(false), openFrame(10_000), beginFrame(0), attachFrame(0, 0, events('d1')))
    const [open] = await answers()
    expect(open?.performative.number(4)).toBe(limits.amqpIdleMs)
    edge.ticks += 4_000 / tickMs
    connection.onSecond(0)
    await answers()
    expect(transport.written).toEqual([])
    edge.ticks += 1_000 / tickMs
    connection.onSecond(0)
    await Promise.resolve()
    expect(transport.bytes).toEqual(Buffer.from([0, 0, 0, 8, 2, 0, 0, 0]))
    edge.ticks += (limits.amqpIdleMs * 1.5) / tickMs
    connection.onSecond(0)
    expect([transport.ended, conditionIn((await answers()).at(-1)!, 0)]).toEqual([true, 'amqp:connection:forced'])
  })
})

describe('telemetry', () => {
  test('is accepted in runs, and only when it is on the log [G-1]', async () => {
    const { say, answers, settle, log } = await sending()
    let open = (): void => {}
    log.gate = () => new Promise((resolve) => (open = resolve))
    for (let id = 0; id < 5; id++) say(transferFrame({ deliveryId: id, payload: dataMessage(`m${id}`) }))
    const settled = settle()
    expect(runs(await answers())).toEqual([])
    const isAppended = (): number => {
      open()
      return log.appended.length
    }
    await expect.poll(isAppended).toBe(1)
    await settled
    expect(runs(await answers())).toEqual([[0, 4, 0x24]])
    expect(log.envelopes().map(({ body }) => String(body))).toEqual(['m0', 'm1', 'm2', 'm3', 'm4'])
  })

  test('of several links of a session is accepted in runs of its own link, whatever lies between', async () => {
    const { say, answers, settle } = await sending()
    say(attachFrame(0, 1, events('d1')))
    await answers()
    for (const [deliveryId, handle] of [0, 0, 1, 1, 0, 0, 1].entries()) say(transferFrame({ handle, deliveryId }))
    await settle()
    expect(runs(await answers())).toEqual([
      [0, 1, 0x24],
      [4, 5, 0x24],
      [2, 3, 0x24],
      [6, 6, 0x24],
    ])
  })

  test('that is settled as it is sent is stored, and nothing is said of it', async () => {
    const { say, answers, settle, log } = await sending()
    say(transferFrame({ deliveryId: 0, settled: true }))
    await settle()
    expect([log.envelopes().length, runs(await answers())]).toEqual([1, []])
  })

  test('in several frames is one message, in whatever chunks they come', async () => {
    const body = 'y'.repeat(1000)
    const payload = dataMessage(body)
    const parts = [payload.subarray(0, 7), payload.subarray(7, 500), payload.subarray(500)]
    const bytes = Buffer.concat(
      parts.map((part, index) =>
        transferFrame({ ...(index === 0 ? { deliveryId: 3 } : {}), more: index < 2, payload: part }),
      ),
    )
    for (const cut of [1, 9, 40, 600, bytes.length - 1]) {
      const { say, answers, settle, log } = await sending()
      say(bytes.subarray(0, cut))
      say(bytes.subarray(cut))
      await settle()
      expect(log.envelopes().map((envelope) => String(envelope.body))).toEqual([body])
      expect(runs(await answers())).toEqual([[3, 3, 0x24]])
    }
  })

  test('that is given up half-way is not stored', async () => {
    const { say, settle, log, connection } = await sending()
    say(
      transferFrame({ deliveryId: 0, more: true }),
      transferFrame({ aborted: true }),
      transferFrame({ deliveryId: 1 }),
    )
    await settle()
    expect([log.envelopes().length, connection.joinedBytes]).toEqual([1, 0])
  })

  test('in the batch format is as many messages, with one outcome, and all of them or none', async () => {
    const { say, answers, settle, log } = await sending()
    const batchOf = (...messages: Buffer[]): Buffer =>
      Buffer.concat(messages.map((message) => writeMessage({ body: message })))
    const good = batchOf(dataMessage('a', { k: '1' }), dataMessage('b', { k: '2' }), dataMessage('c'))
    const bad = batchOf(dataMessage('d'), Buffer.from([1, 2, 3]))
    say(transferFrame({ deliveryId: 0, format: batchFormat, payload: good }))
    say(transferFrame({ deliveryId: 1, format: batchFormat, payload: bad }))
    await settle()
    expect(runs(await answers())).toEqual([
      [1, 1, 0x25],
      [0, 0, 0x24],
    ])
    expect(log.envelopes().map(({ body, properties }) => [String(body), properties.k])).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['c', undefined],
    ])
  })

  test('of which not all is allowed is rejected alone, with the reason', async () => {
    const { say, answers, settle, log, transport } = await sending()
    const large = writeMessage({ body: Buffer.alloc(limits.bodyBytesMax + 1) })
    const cut = [0, 60_000, 120_000, 180_000, 240_000, large.length]
    for (const [index, from] of cut.slice(0, -1).entries())
      say(
        transferFrame({
          ...(index === 0 ? { deliveryId: 0 } : {}),
          more: index < 4,
          payload: large.subarray(from, cut[index + 1]),
        }),
      )
    say(transferFrame({ deliveryId: 1, payload: writeMessage({ value: ['a', 'list'] }) }))
    say(transferFrame({ deliveryId: 2, payload: Buffer.from([0xff]) }))
    say(transferFrame({ deliveryId: 3 }))
    await settle()
    const dispositions = ofKind(await answers(), performatives.disposition)
    expect(dispositions.map((answer) => conditionIn(answer, 4))).toEqual([
      'amqp:link:message-size-exceeded',
      'com.microsoft:argument-error',
      'amqp:decode-error',
      undefined,
    ])
    expect([log.envelopes().length, transport.ended]).toEqual([1, false])
  })

  test('the sender names itself as who it likes; what is stored says who it is [G-6]', async () => {
    const { say, settle, log } = await sending()
    const properties = { 'iothub-connection-device-id': 'd2', own: 'x' }
    say(transferFrame({ deliveryId: 0, payload: dataMessage('x', properties) }))
    await settle()
    expect(log.envelopes()).toMatchObject([{ deviceId: 'd1', properties: { own: 'x' } }])
    expect(log.envelopes()[0]?.properties).toEqual({ own: 'x' })
  })

  test('of a module says so; neither its device nor a sibling may send in its name [G-6]', async () => {
    const authenticate = ({ clientId }: { clientId: string }): Principal => {
      if (clientId !== 'd1/m1') throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
      return { deviceId: 'd1', moduleId: 'm1', expiresAtMs: undefined }
    }
    const { begin, say, answers, settle, log } = rawClient(edgeFixture({ authenticate }))
    begin()
    say(attachFrame(0, 0, '/devices/d1/modules/m1/messages/events'))
    say(attachFrame(0, 1, '/devices/d1/modules/m2/messages/events'), attachFrame(0, 2, events('d1')))
    expect(ofKind(await answers(), performatives.detach).map(({ performative }) => performative.number(0))).toEqual([
      1, 2,
    ])
    say(transferFrame({ deliveryId: 0 }))
    await settle()
    expect(log.envelopes()).toMatchObject([{ deviceId: 'd1', systemProperties: { moduleId: 'm1' } }])
  })

  test('credit is granted again at half, and not while too much waits for the log', async () => {
    const { say, answers, settle, log } = await sending()
    const credits = (all: readonly ReadAnswer[]): unknown[] =>
      ofKind(all, performatives.flow).map(({ performative }) => performative.number(6))
    for (let id = 0; id < 250; id++) say(transferFrame({ deliveryId: id }))
    expect(credits(await answers())).toEqual([limits.amqpCredit])
    let open = (): void => {}
    const opened = new Promise<void>((resolve) => (open = resolve))
    log.gate = () => opened
    let next = 250
    let allowedTo: number = 250 + limits.amqpCredit
    while (next < allowedTo) {
      for (; next < allowedTo; next++) say(transferFrame({ deliveryId: next }))
      for (const { performative } of ofKind(await answers(), performatives.flow))
        allowedTo = (performative.number(5) ?? 0) + (performative.number(6) ?? 0)
    }
    expect(next).toBeLessThanOrEqual(limits.amqpUnsettledMax)
    expect(next).toBeGreaterThan(limits.amqpUnsettledMax - limits.amqpCredit)
    open()
    await settle()
    expect(credits(await answers())).toEqual([limits.amqpCredit])
  })
})

test('a link whose credit ran out while the edge was full is granted again once it is not [G-4]', async () => {
  const { say, answers, settle, edge, transport } = await sending(edgeFixture({ pendingBytesMax: 1_000 }))
  for (let id = 0; id < limits.amqpCredit; id++) say(transferFrame({ deliveryId: id }))
  expect([edge.batcher.full, transport.paused]).toEqual([true, true])
  expect(ofKind(await answers(), performatives.flow)).toEqual([])
  await settle()
  const granted = ofKind(await answers(), performatives.flow).map(({ performative }) => performative.number(6))
  expect(granted).toEqual([limits.amqpCredit])
  expect([edge.batcher.full, transport.paused]).toEqual([false, false])
})

describe('many devices on one connection', () => {
  test('each has a session, and one that is taken over takes only its own links with it', async () => {
    const fixture = edgeFixture()
    const shared = rawClient(fixture)
    shared.begin()
    for (const index of [0, 1, 2]) shared.say(attachFrame(0, index, events(`d${index}`)))
    await shared.answers()
    expect([...fixture.edge.sessions.keys()]).toEqual(['d0', 'd1', 'd2'])
    const other = rawClient(fixture)
    other.begin()
    other.say(attachFrame(0, 0, events('d1')))
    await other.answers()
    const [detach] = ofKind(await shared.answers(), performatives.detach)
    expect([detach?.performative.number(0), conditionIn(detach!, 2)]).toEqual([1, 'amqp:link:detach-forced'])
    shared.say(transferFrame({ handle: 1, deliveryId: 0 }), transferFrame({ handle: 2, deliveryId: 1 }))
    await fixture.settle()
    expect(fixture.log.envelopes().map(({ deviceId }) => deviceId)).toEqual(['d2'])
    expect([fixture.edge.sessions.size, shared.transport.ended]).toEqual([3, false])
  })

  test('a device alone on its connection ends with it', async () => {
    const fixture = edgeFixture()
    const older = await sending(fixture)
    const newer = await sending(fixture)
    expect([older.transport.ended, newer.transport.ended]).toEqual([true, false])
    expect(conditionIn((await older.answers()).at(-1)!, 0)).toBe('amqp:connection:forced')
  })

  test('a device that is revoked while its link is decided on gets none', async () => {
    const ends: ((error: PenstockError) => void)[] = []
    const fixture = edgeFixture({
      authenticate: ({ clientId }) => ({
        deviceId: clientId,
        moduleId: undefined,
        expiresAtMs: undefined,
        watch: (onRevoked) => {
          ends.push(onRevoked)
          return () => {}
        },
      }),
    })
    const { begin, say, answers } = rawClient(fixture)
    begin()
    say(attachFrame(0, 0, events('d0')))
    await answers()
    say(attachFrame(0, 1, events('d1')))
    while (ends.length < 2) await Promise.resolve()
    ends[1]?.(new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized'))
    const detaches = ofKind(await answers(), performatives.detach)
    expect(detaches.map(({ performative }) => performative.number(0))).toEqual([1])
    expect([...fixture.edge.sessions.keys()]).toEqual(['d0'])
  })

  test('an address that is none lets nobody in', async () => {
    const { begin, say, answers, edge } = rawClient()
    begin()
    say(attachFrame(0, 0, '/devices/d1/messages/devicebound'), attachFrame(0, 1, events('d1'), { receives: true }))
    expect(ofKind(await answers(), performatives.detach).length).toBe(2)
    expect(edge.sessions.size).toBe(0)
  })

  test('a device is gone with its last link, and is let in again with what it had shown', async () => {
    const told: string[] = []
    const fixture = edgeFixture({ onPresence: (id, _module, here, reason) => told.push(`${id} ${here} ${reason}`) })
    const { say, answers } = await sending(fixture)
    say(frame(0, performatives.detach, [uint(0), true]))
    await answers()
    say(attachFrame(0, 0, events('d1')))
    await answers()
    expect(told).toEqual(['d1 true CONNECTED', 'd1 false CLOSED_BY_CLIENT', 'd1 true CONNECTED'])
  })

  test('a connection that no device is on ends, whatever it says meanwhile [G-4]', async () => {
    const { say, answers, connection, edge, transport } = await sending()
    say(frame(0, performatives.detach, [uint(0), true]))
    const pass = (ms: number): void => {
      edge.ticks += ms / tickMs
      say(Buffer.from([0, 0, 0, 8, 2, 0, 0, 0]))
      connection.onSecond(0)
    }
    pass(limits.amqpIdleMs / 2)
    say(attachFrame(0, 0, events('d1')))
    await answers()
    for (let half = 0; half < 3; half++) pass(limits.amqpIdleMs / 2)
    say(frame(0, performatives.detach, [uint(0), true]))
    pass(limits.amqpIdleMs / 2)
    expect([edge.sessions.size, transport.ended]).toEqual([0, false])
    pass(limits.amqpIdleMs / 2)
    expect(transport.ended).toBe(true)
  })

  test('what one of them owes keeps it from sending, and the others not', async () => {
    const clock = virtualClock(20_000 * 86_400_000)
    const deviceOverrides = new Map([['slow', { ...unlimitedDevice, messagesPerSecond: 100 }]])
    const fixture = edgeFixture({ clock, quotas: { ...unlimitedQuotas, deviceOverrides } })
    const { begin, say, answers, transport } = rawClient(fixture)
    begin()
    say(attachFrame(0, 0, events('slow')), attachFrame(0, 1, events('free')))
    await answers()
    for (const handle of [0, 1])
      say(...Array.from({ length: 450 }, (_, id) => transferFrame({ handle, deliveryId: 1000 * handle + id })))
    const granted = (all: readonly ReadAnswer[]): unknown[] =>
      ofKind(all, performatives.flow).map(({ performative }) => performative.number(4))
    expect([granted(await answers()), transport.paused]).toEqual([[0, 1], false])
    say(...Array.from({ length: 300 }, (_, id) => transferFrame({ handle: 0, deliveryId: 2000 + id })))
    expect([granted(await answers()), transport.paused]).toEqual([[], false])
    while (granted(await answers()).length === 0) expect(clock.step()).toBe(true)
    expect(clock.monotonicMs()).toBeGreaterThan(3_000)
  })

  test('tokens of one device that come together make one session', async () => {
    const lookups: (() => void)[] = []
    let opened = 0
    const fixture = edgeFixture({
      authenticate: ({ clientId }) =>
        new Promise((resolve) =>
          lookups.push(() => resolve({ deviceId: clientId, moduleId: undefined, expiresAtMs: undefined })),
        ),
      onPresence: (_id, _module, here) => (opened += here ? 1 : 0),
    })
    const { begin, say, answers, connection } = rawClient(fixture)
    begin()
    say(attachFrame(0, 0, '$cbs'))
    await answers()
    say(...[0, 1, 2].map((id) => putToken(id, 'hub/devices/d1', `token ${id}`)))
    for (let answered = 0; answered < 3; answered++) {
      while (lookups.length === 0) await new Promise((resolve) => setImmediate(resolve))
      lookups.shift()?.()
      await answers()
    }
    expect([opened, fixture.edge.sessions.size]).toEqual([1, 1])
    connection.onClosed()
    expect(fixture.edge.sessions.size).toBe(0)
  })

  test('one that is alone is charged with frames that are no message', async () => {
    const clock = virtualClock(20_000 * 86_400_000)
    const deviceOverrides = new Map([['d1', { ...unlimitedDevice, bytesPerSecond: 1_000 }]])
    const { say, transport } = await sending(edgeFixture({ clock, quotas: { ...unlimitedQuotas, deviceOverrides } }))
    for (let count = 0; count < 100; count++) say(flowFrame(0, 0, 1))
    expect(transport.paused).toBe(true)
  })

  test('one that sends nothing while it is decided on, as a message without bytes, is let in', async () => {
    let decide = (): void => {}
    const decided = new Promise<void>((resolve) => {
      decide = resolve
    })
    const fixture = edgeFixture({
      authenticate: async ({ clientId }) => {
        await decided
        return { deviceId: clientId, moduleId: undefined, expiresAtMs: undefined }
      },
    })
    const { say, answers, transport } = rawClient(fixture)
    say(header(true), saslInit('PLAIN', Buffer.from('\0d1@sas.hub\0secret')), header(false).subarray(0, 3))
    say(Buffer.alloc(0))
    decide()
    say(header(false).subarray(3), openFrame())
    expect(codes(await answers())).toContain(performatives.open)
    expect(transport.ended).toBe(false)
  })

  test('one that leaves with what it sends is charged for it all the same', async () => {
    const clock = virtualClock(20_000 * 86_400_000)
    const deviceOverrides = new Map([['d1', { ...unlimitedDevice, messagesPerSecond: 10 }]])
    const fixture = edgeFixture({ clock, quotas: { ...unlimitedQuotas, deviceOverrides } })
    const { say, answers, edge } = await sending(fixture)
    const messages = Array.from({ length: 50 }, (_, deliveryId) => transferFrame({ handle: 0, deliveryId }))
    say(...messages, frame(0, performatives.detach, [uint(0), true]))
    await answers()
    expect(edge.sessions.size).toBe(0)
    expect(edge.quotas.bucketsOf('d1')?.waitMs(clock.nowMs())).toBe(4_000)
  })

  test('a token that expires ends its device, one that is renewed does not', async () => {
    const until = new Map([
      ['old', 1_000],
      ['new', 5_000],
    ])
    const fixture = edgeFixture({
      authenticate: ({ clientId, password }): Principal => ({
        deviceId: clientId,
        moduleId: undefined,
        expiresAtMs: until.get(String(password)),
      }),
    })
    const { begin, say, answers, connection, transport } = rawClient(fixture)
    begin()
    say(attachFrame(0, 0, '$cbs'), attachFrame(0, 1, events('d1')), attachFrame(0, 2, events('d2')))
    say(putToken(0, 'hub/devices/d1', 'old'), putToken(1, 'hub/devices/d2', 'old'))
    await answers()
    say(putToken(2, 'hub/devices/d2', 'new'))
    await answers()
    connection.onSecond(2_000)
    const [detach] = ofKind(await answers(), performatives.detach)
    expect([detach?.performative.number(0), conditionIn(detach!, 2)]).toEqual([1, 'amqp:unauthorized-access'])
    expect([...fixture.edge.sessions.keys()]).toEqual(['d2'])
    connection.onSecond(6_000)
    expect([fixture.edge.sessions.size, transport.ended]).toEqual([0, true])
  })
})

const refusing = () =>
  edgeFixture({
    authenticate: () => {
      throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    },
  })

describe('hostile clients', () => {
  test.each<[string, Buffer[]]>([
    ['another protocol', [Buffer.from('GET / HTTP/1.1\r\n')]],
    ['TLS in AMQP', [Buffer.from('AMQP\x02\x01\x00\x00', 'latin1')]],
    ['a version that is none', [Buffer.from('AMQP\x00\x09\x00\x00', 'latin1')]],
    ['a frame of no size', [header(false), Buffer.alloc(8)]],
    ['a frame of 4 GiB', [header(false), Buffer.from([0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0])]],
    [
      'a frame above what is allowed before it is known who sends',
      [header(false), Buffer.from([0, 0, 0x40, 0, 2, 0, 0, 0])],
    ],
    ['a SASL frame of 2 KiB', [header(true), Buffer.from([0, 0, 8, 0, 2, 1, 0, 0])]],
    ['a data offset beyond the frame', [header(false), Buffer.from([0, 0, 0, 8, 0xff, 0, 0, 0])]],
    ['BEGIN before OPEN', [header(false), beginFrame(0)]],
    ['a transfer before OPEN', [header(false), transferFrame({ deliveryId: 0 })]],
    ['a transfer before BEGIN', [header(false), openFrame(), transferFrame({ deliveryId: 0 })]],
    ['ATTACH on a channel without a session', [header(false), openFrame(), attachFrame(9, 0, '$cbs')]],
    ['a second OPEN', [header(false), openFrame(), openFrame()]],
    ['a second BEGIN on a channel', [header(false), openFrame(), beginFrame(0), beginFrame(0)]],
    ['a channel above channel-max', [header(false), openFrame(), beginFrame(1024)]],
    ['a handle above handle-max', [header(false), openFrame(), beginFrame(0), attachFrame(0, 16, '$cbs')]],
    [
      'a handle in use',
      [header(false), openFrame(), beginFrame(0), attachFrame(0, 0, '$cbs'), attachFrame(0, 0, '$cbs')],
    ],
    ['SASL again behind SASL', [header(true), saslInit('ANONYMOUS'), header(true)]],
    ['an OPEN instead of SASL', [header(true), openFrame()]],
    ['frames smaller than the norm allows', [header(false), frame(0, performatives.open, ['c', 'h', uint(511)])]],
  ])('%s ends the connection, and nothing is kept', async (_what, parts) => {
    const { say, transport, connection, edge } = rawClient()
    for (const part of parts) say(part)
    expect(transport.ended).toBe(true)
    expect([edge.connections.size, edge.waiting.size, connection.joinedBytes]).toEqual([0, 0, 0])
  })

  test('before it is known who sends there are a few sessions, links and tokens, and no more', async () => {
    const sessions = rawClient(refusing())
    sessions.say(header(false), openFrame())
    for (let channel = 0; channel <= limits.amqpUnprovenMax; channel++) sessions.say(beginFrame(channel))
    expect(sessions.transport.ended).toBe(true)
    const links = rawClient(refusing())
    links.begin()
    for (let count = 0; count < 100; count++)
      links.say(attachFrame(0, 0, '$cbs'), frame(0, performatives.detach, [uint(0), true]))
    expect(links.transport.ended).toBe(true)
    const tokens = rawClient(refusing())
    tokens.begin()
    tokens.say(attachFrame(0, 0, '$cbs'))
    await tokens.answers()
    for (let id = 0; id < limits.amqpUnprovenMax; id++) {
      expect(tokens.transport.ended).toBe(false)
      tokens.say(putToken(id, 'hub/devices/d1', `guess-${id}`))
      await tokens.answers()
    }
    expect(tokens.transport.ended).toBe(true)
  })

  test('a thousand that never say who they are hold nothing but their place, and give way [G-4]', async () => {
    const { edge } = edgeFixture()
    const fixture = edgeFixture()
    const clients = Array.from({ length: 1_000 }, () => rawClient(fixture))
    for (const { say } of clients) say(header(false), openFrame(), beginFrame(0), Buffer.from([0, 0, 0x1f, 0xff]))
    expect(fixture.edge.waiting.size).toBe(1_000)
    fixture.edge.ticks += limits.connectDelayMsMax / tickMs + 2
    for (const { connection } of clients) connection.onSecond(0)
    expect([fixture.edge.connections.size, fixture.edge.waiting.size, edge.connections.size]).toEqual([0, 0, 0])
  })

  test('messages beyond the credit end their link, not the connection', async () => {
    const { say, answers, settle, log, transport } = await sending()
    let open = (): void => {}
    const opened = new Promise<void>((resolve) => (open = resolve))
    log.gate = () => opened
    for (let id = 0; id <= limits.amqpUnsettledMax; id++) say(transferFrame({ deliveryId: id }))
    const [detach] = ofKind(await answers(), performatives.detach)
    expect(conditionIn(detach!, 2)).toBe('amqp:link:transfer-limit-exceeded')
    expect(transport.ended).toBe(false)
    open()
    await settle()
  })

  test('messages that are never whole are bounded, one and all together', async () => {
    const part = Buffer.alloc(60_000)
    const one = await sending()
    one.say(transferFrame({ deliveryId: 0, more: true, payload: part }))
    for (let count = 0; count < 5; count++) one.say(transferFrame({ more: true, payload: part }))
    expect(conditionIn(ofKind(await one.answers(), performatives.detach)[0]!, 2)).toBe(
      'amqp:link:message-size-exceeded',
    )
    expect(one.connection.joinedBytes).toBe(0)
    const all = await sending()
    for (let handle = 1; handle < 10; handle++) all.say(attachFrame(0, handle, events('d1')))
    await all.answers()
    for (let handle = 0; handle < 10; handle++)
      for (let count = 0; count < 4; count++)
        all.say(transferFrame({ handle, more: true, payload: part, ...(count === 0 ? { deliveryId: handle } : {}) }))
    expect([all.transport.ended, all.connection.joinedBytes]).toEqual([true, 0])
  })

  test('outcomes of messages that were never sent, for all numbers at once and without end, cost nothing', async () => {
    const { say, answers, transport } = await sending()
    const all = frame(0, performatives.disposition, [true, uint(0), uint(0xffff_ffff), true, described(0x24, [])])
    const backwards = frame(0, performatives.disposition, [true, uint(9), uint(3), false, described(0x26, [])])
    for (let count = 0; count < 10_000; count++) say(all, frame(0, performatives.disposition, [false, uint(0)]))
    expect(await answers()).toEqual([])
    say(backwards)
    expect(transport.ended).toBe(false)
  })

  test('links that begin and end without end end the connection', async () => {
    const { say, transport } = await sending()
    for (let count = 0; count < limits.amqpLinkFramesBurst && !transport.ended; count++)
      say(beginFrame(1), frame(1, performatives.end, [null]))
    expect(transport.ended).toBe(true)
  })

  test('an address of another device is refused to who has a token of its own alone [G-6]', async () => {
    const fixture = edgeFixture({
      authenticate: ({ clientId, password }): Principal => {
        const signature = createHmac('sha256', 'key').update(clientId).digest('base64')
        if (String(password) !== signature) throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
        return { deviceId: clientId, moduleId: undefined, expiresAtMs: undefined }
      },
    })
    const { begin, say, answers } = rawClient(fixture)
    begin()
    say(attachFrame(0, 0, '$cbs'))
    await answers()
    const token = createHmac('sha256', 'key').update('d1').digest('base64')
    say(putToken(0, 'hub/devices/d1', token))
    await answers()
    say(
      attachFrame(0, 1, events('d1')),
      attachFrame(0, 2, events('d2')),
      attachFrame(0, 3, '/devices/d1/modules/m/messages/events'),
    )
    say(attachFrame(0, 4, '/nothing/here'), attachFrame(0, 5, events('d1/../d2')))
    const detaches = ofKind(await answers(), performatives.detach)
    expect(detaches.map((answer) => [answer.performative.number(0), conditionIn(answer, 2)])).toEqual(
      expect.arrayContaining([
        [2, 'amqp:unauthorized-access'],
        [3, 'amqp:unauthorized-access'],
        [4, 'amqp:not-found'],
        [5, 'amqp:not-found'],
      ]),
    )
    expect(detaches.length).toBe(4)
    expect([...fixture.edge.sessions.keys()]).toEqual(['d1'])
  })

  test.each([
    ['a device', 'd1', ['d2', 'd1/m', 'd2/m', 'd1/m/n']],
    ['a module', 'd1/m', ['d1', 'd1/n', 'd2', 'd2/m']],
  ])('%s with a token of its own has no link of any kind of another one [G-6]', async (_who, own, others) => {
    const fixture = edgeFixture({
      authenticate: ({ clientId, password }): Principal => {
        if (clientId !== own || String(password) !== 'token')
          throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
        const [deviceId = '', moduleId] = clientId.split('/')
        return { deviceId, moduleId, expiresAtMs: undefined }
      },
    })
    const { begin, say, answers, transport } = rawClient(fixture)
    const pathOf = (id: string) => `/devices/${id.replace('/', '/modules/')}`
    begin()
    say(attachFrame(0, 0, '$cbs'), putToken(0, `hub${pathOf(own)}`, 'token'))
    await answers()
    say(attachFrame(0, 1, `${pathOf(own)}/twin`))
    await answers()
    const places = ['messages/events', 'messages/devicebound', 'methods/devicebound', 'twin']
    for (const other of others)
      for (const place of places)
        for (const receives of [true, false]) {
          say(attachFrame(0, 2, `${pathOf(other)}/${place}`, { receives }))
          const [attach, detach] = await answers()
          expect([attach?.performative.code, detach?.performative.code]).toEqual([
            performatives.attach,
            performatives.detach,
          ])
          expect(conditionIn(detach!, 2)).toMatch(/^amqp:(unauthorized-access|not-found)$/)
        }
    expect([[...fixture.edge.sessions.keys()], transport.ended]).toEqual([[own], false])
  })
})
