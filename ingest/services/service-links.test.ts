/** Links of services in bytes: who may have one, what it sends, and what ends it. */
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { rights } from '#control/rest/rights.ts'
import {
  attachFrame,
  flowFrame,
  putToken,
  type ReadAnswer,
  rawClient,
  transferFrame,
} from '#ingest/amqp/raw-client-fixture.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { serviceAttempts } from '#ingest/quotas/quotas.ts'
import { tickMs } from '#ingest/session/edge-context.ts'
import { BuiltInEndpoint } from '#pipeline/reading/built-in-endpoint.ts'
import { sequenceOf } from '#pipeline/reading/reading.ts'
import { FakeTwins } from '#pipeline/routing/select/batches-fixture.ts'
import { BlockReader } from '#pipeline/routing/select/block-reader.ts'
import { SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { frame, performatives } from '#runtime/amqp/frames.ts'
import { ReadMessage, writeMessage } from '#runtime/amqp/message.ts'
import { DescribedValue } from '#runtime/amqp/read-values.ts'
import { described, Encoded, uint } from '#runtime/amqp/write-values.ts'
import { systemClock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'
import { emptyRouting } from '#schemas/routing/routing.ts'
import type { ServiceAnswer, ServiceRequest } from './service-requests.ts'
import { appendBatch, type ServicesFixtureOptions, serviceKey, servicesFixture } from './services-fixture.ts'

const partition = (number: string | number, group = '$Default', hub = 'telemetry'): string =>
  `${hub}/ConsumerGroups/${group}/Partitions/${number}`
const addresses = [
  ...['$management', partition(0), partition(0, 'g', 'nowhere')],
  ...['/messages/serviceBound/feedback', '/messages/serviceBound/filenotifications', '/messages/events/$management'],
]
const expiresAtMs = Date.now() + 3_600_000
const tokenFor = (scope: string, policyName = 'service', atMs = expiresAtMs): string =>
  createSasToken({ scope, key: serviceKey, policyName, expiresAtMs: atMs })

/** As the clients of Event Hubs sign: with the text of the key. */
function eventHubsToken(scope: string): string {
  const [sr, se] = [encodeURIComponent(scope), String(Math.floor(expiresAtMs / 1_000))]
  const signature = createHmac('sha256', serviceKey).update(`${sr}\n${se}`).digest('base64')
  return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(signature)}&se=${se}&skn=service`
}

const ofKind = (answers: readonly ReadAnswer[], code: number) =>
  answers.filter(({ performative }) => performative.code === code)
const messagesIn = (answers: readonly ReadAnswer[]) =>
  ofKind(answers, performatives.transfer).map(({ payload }) => new ReadMessage(payload, 0, payload.length))

/** What stands in DETACH frames, outcomes that reject, and CLOSE. */
function conditionsIn(answers: readonly ReadAnswer[]): unknown[] {
  return answers.flatMap(({ performative }) => {
    const places: Readonly<Record<number, number>> = {
      [performatives.detach]: 2,
      [performatives.disposition]: 4,
      [performatives.close]: 0,
    }
    let value = performative.at(places[performative.code] ?? 99)
    if (value instanceof DescribedValue && value.descriptor === 0x25 && Array.isArray(value.value))
      value = value.value[0] ?? null
    return value instanceof DescribedValue && value.descriptor === 0x1d && Array.isArray(value.value)
      ? [value.value[0]]
      : []
  })
}

/** All that is answered within a few rounds of the event loop. */
async function settled(client: ReturnType<typeof rawClient>): Promise<ReadAnswer[]> {
  const answers: ReadAnswer[] = []
  for (let round = 0; round < 30; round++) {
    await new Promise((resolve) => setImmediate(resolve))
    answers.push(...(await client.answers()))
  }
  return answers
}

type Fixture = ReturnType<typeof servicesFixture>

/** A client whose token was judged, and what was answered to it. */
async function clientWith(fixture: Fixture, ...tokens: readonly string[]) {
  const client = rawClient(fixture, fixture.open)
  client.begin()
  client.say(attachFrame(0, 0, '$cbs'), attachFrame(0, 1, '$cbs', { receives: true }), flowFrame(0, 1, 100))
  await settled(client)
  for (const [index, token] of tokens.entries()) client.say(putToken(index, 'sb://localhost', token))
  const statuses = messagesIn(await settled(client)).map(({ applicationProperties }) =>
    applicationProperties.get('status-code'),
  )
  return { client, statuses }
}

describe('who may', () => {
  test.each(addresses)(
    'nobody without a token has a link to %s, and who tries again and again is gone',
    async (address) => {
      const fixture = servicesFixture()
      const client = rawClient(fixture, fixture.open)
      client.begin()
      for (let handle = 0; handle < limits.amqpUnprovenMax; handle++)
        client.say(attachFrame(0, handle, address, { receives: true }))
      expect(new Set(conditionsIn(await settled(client)))).toEqual(new Set(['amqp:unauthorized-access']))
      expect(client.transport.ended).toBe(true)
    },
  )

  test('a policy without the right, a token for something else and one that is over are refused as they are put, or with the link', async () => {
    const fixture = servicesFixture()
    const scope = 'sb://localhost/telemetry'
    const { statuses } = await clientWith(
      fixture,
      tokenFor(scope, 'device'),
      tokenFor('sb://elsewhere/telemetry'),
      tokenFor(scope, 'service', Date.now() - 3_600_000),
    )
    expect(statuses).toEqual([401, 401, 401])
    const whole = await clientWith(fixture, tokenFor('localhost', 'device'))
    whole.client.say(attachFrame(0, 2, '/messages/devicebound'), attachFrame(0, 3, partition(0), { receives: true }))
    expect([whole.statuses, conditionsIn(await settled(whole.client))]).toEqual([
      [200],
      ['amqp:unauthorized-access', 'amqp:unauthorized-access'],
    ])
    const narrow = await clientWith(fixture, eventHubsToken(`sb://localhost/${partition(0)}`))
    narrow.client.say(
      attachFrame(0, 2, partition(0), { receives: true }),
      attachFrame(0, 3, partition(1), { receives: true }),
    )
    expect([narrow.statuses, conditionsIn(await settled(narrow.client))]).toEqual([[200], ['amqp:unauthorized-access']])
  })

  test.each(rights)(
    'a policy with the right %s alone has every link of services if it is ServiceConnect, else none',
    async (right) => {
      const fixture = servicesFixture({ requests: async () => ({ status: 204, headers: {}, body: Buffer.alloc(0) }) })
      const [policy] = fixture.trust.now.policies
      fixture.trust.now = {
        policies: [{ ...(policy ?? expect.fail()), name: 'single', rights: [right] }],
        authorities: [],
      }
      const links = [...addresses, '/messages/devicebound', '$management'].entries()
      for (const [index, address] of links) {
        const { client } = await clientWith(fixture, tokenFor('localhost', 'single'))
        const receives = index < addresses.length
        client.say(attachFrame(0, 2, address, { receives }))
        const told = conditionsIn(await settled(client))
        // What is not there, or elsewhere, is told to who may know.
        const wanted = address.includes('nowhere')
          ? ['amqp:not-found']
          : address.includes('/$management')
            ? ['amqp:link:redirect']
            : []
        expect([address, told]).toEqual([address, right === 'ServiceConnect' ? wanted : ['amqp:unauthorized-access']])
        client.connection.onClosed()
      }
    },
  )

  test('a token for all devices is held for devices, whatever its policy may do for services', async () => {
    const { client, statuses } = await clientWith(servicesFixture(), tokenFor('localhost/devices', 'device'))
    client.say(attachFrame(0, 2, '/devices/d1/messages/events'), attachFrame(0, 3, '/messages/devicebound'))
    expect([statuses, conditionsIn(await settled(client)), [...client.edge.sessions.keys()]]).toEqual([
      [200],
      ['amqp:unauthorized-access'],
      ['d1'],
    ])
  })

  test('a text is signed by the bytes of a key, and only where events are read by its text', async () => {
    const { statuses } = await clientWith(
      servicesFixture(),
      eventHubsToken('localhost/telemetry'),
      eventHubsToken('sb://localhost/telemetry'),
    )
    expect(statuses).toEqual([401, 200])
  })

  test('an expired token, a renewed key and a lost right end links of services', async () => {
    const quotas = { ...unlimitedQuotas, failuresPerMinute: { address: 1, deviceAtAddress: 0 } }
    const fixture = servicesFixture({ edge: edgeFixture({ quotas }) })
    const { client } = await clientWith(fixture, tokenFor('sb://localhost/telemetry'))
    client.say(attachFrame(0, 2, partition(0), { receives: true }), attachFrame(0, 3, partition(1), { receives: true }))
    expect(conditionsIn(await settled(client))).toEqual([])
    const look = async () => {
      fixture.edge.ticks += limits.amqpServiceLookMs / tickMs
      client.connection.onSecond(Date.now())
      return conditionsIn(await settled(client))
    }
    expect(await look()).toEqual([])
    // Whatever fails at the same address.
    for (let failure = 0; failure < 3; failure++)
      fixture.edge.quotas.attemptFailed(client.transport.remoteAddress, serviceAttempts)
    fixture.trust.now = { ...fixture.trust.now, policies: [] }
    expect(await look()).toEqual(['amqp:unauthorized-access', 'amqp:unauthorized-access'])
    expect(fixture.services.readers.count).toBe(0)
  })

  test('of tokens that nobody judged one is held, whatever they say that they are for', async () => {
    const held: (readonly string[])[] = []
    const fixture = servicesFixture()
    const client = rawClient(fixture, (connection) => {
      const side = fixture.open(connection)
      side.hold = (path) => void held.push(path)
      return side
    })
    client.begin()
    client.say(attachFrame(0, 0, '$cbs'), attachFrame(0, 1, '$cbs', { receives: true }), flowFrame(0, 1, 100))
    await settled(client)
    for (const [index, scope] of ['localhost', 'localhost/devices', 'localhost/devices/ /1', 'localhost/'].entries())
      client.say(putToken(index, scope, 'no token of the hub'))
    await settled(client)
    expect(held).toEqual([[], []])
  })

  test('a link where nothing is, or the wrong way round, tells so to who may know', async () => {
    const { client } = await clientWith(servicesFixture(), tokenFor('localhost'))
    const links: readonly (readonly [string, boolean])[] = [
      [partition(2), true],
      [partition('0x1'), true],
      [partition(0, 'g', 'nowhere'), true],
      [partition(0), false],
      [partition(0, 'g'.repeat(51)), true],
      ['/messages/serviceBound/feedback', false],
      ['/messages/elsewhere', true],
    ]
    for (const [index, [address, receives]] of links.entries())
      client.say(attachFrame(0, 2 + index, address, { receives }))
    expect(conditionsIn(await settled(client))).toEqual(links.map(() => 'amqp:not-found'))
    client.say(
      attachFrame(0, 2, partition(0), { receives: true, selector: "x > '1'" }),
      attachFrame(0, 3, partition(0), {
        receives: true,
        selector: `amqp.annotation.x-opt-offset > '${sequenceOf(9, 0)}'`,
      }),
    )
    expect(conditionsIn(await settled(client))).toEqual([
      'com.microsoft:argument-error',
      'com.microsoft:argument-error',
    ])
    client.say(attachFrame(0, 2, '/messages/events/$management', { receives: true }))
    expect(conditionsIn(await settled(client))).toEqual(['amqp:link:redirect'])
  })
})

describe('a reader', () => {
  async function reading(
    batches: number,
    options: Parameters<typeof attachFrame>[3] = {},
    fixtureOptions: ServicesFixtureOptions = {},
  ) {
    const fixture = servicesFixture(fixtureOptions)
    for (let batch = 0; batch < batches; batch++)
      await appendBatch(
        fixture.memoryLog,
        0,
        Array.from({ length: 10 }, (_, index) => ({ body: Buffer.from(`${batch} ${index}`) })),
      )
    const { client } = await clientWith(fixture, tokenFor('sb://localhost/telemetry'))
    client.say(attachFrame(0, 2, partition(0), { receives: true, ...options }))
    await settled(client)
    return { ...fixture, client }
  }
  const bodies = (answers: readonly ReadAnswer[]) => messagesIn(answers).map(({ body }) => String(body))

  test('gets as many as it grants, and no more while its window or its socket is full', async () => {
    const { client } = await reading(30)
    expect(bodies(await settled(client))).toEqual([])
    client.say(flowFrame(0, 2, 15))
    expect(bodies(await settled(client))).toEqual(
      Array.from({ length: 15 }, (_, index) => `${Math.floor(index / 10)} ${index % 10}`),
    )
    client.transport.writeBytes = limits.socketWriteBytesMax + 1
    client.say(flowFrame(0, 2, 500, 15))
    expect(bodies(await settled(client))).toEqual([])
    client.transport.writeBytes = 0
    client.connection.onDrained()
    // The window of its session.
    const windowed = bodies(await settled(client))
    expect([windowed[0], windowed.length]).toEqual(['1 5', 285])
  })

  test('gets as many frames of a large message as its window takes, and the rest in its turn', async () => {
    const { client, memoryLog } = await reading(0)
    const body = Buffer.alloc(200_000, 'x')
    await appendBatch(memoryLog, 0, [{ body }, { body: Buffer.from('behind') }])
    /** At least so many; those of a large message come once another thread has decompressed it. */
    const transfers = async (count: number) => {
      const found: ReadAnswer[] = []
      const more = async () => found.push(...ofKind(await settled(client), performatives.transfer))
      await expect.poll(more, { interval: 1 }).toBeGreaterThanOrEqual(count)
      return found
    }
    // What $cbs answered is under way.
    const before = 1
    client.say(flowFrame(0, 2, 10, 0, { nextIncomingId: before, incomingWindow: 2 }))
    const first = await transfers(2)
    expect(first.map(({ performative }) => performative.flag(5))).toEqual([true, true])
    // A smaller window than what is under way is none.
    client.say(flowFrame(0, 2, 10, 0, { nextIncomingId: before, incomingWindow: 1 }))
    expect(await transfers(0)).toEqual([])
    client.say(flowFrame(0, 2, 10, 0, { nextIncomingId: before + 2, incomingWindow: 2 }))
    const second = await transfers(2)
    expect(second.map(({ performative }) => performative.flag(5))).toEqual([true, false])
    const parts = [...first, ...second].map(({ payload }) => payload)
    expect(new ReadMessage(Buffer.concat(parts), 0, Buffer.concat(parts).length).body).toEqual(body)
    client.say(flowFrame(0, 2, 10, 1, { nextIncomingId: before + 4, incomingWindow: 2 }))
    const third = await transfers(1)
    expect(bodies(third)).toEqual(['behind'])
    const ids = [...first, ...second, ...third].map(({ performative }) => Number(performative.number(1)) - before)
    expect(ids).toEqual([0, 0, 0, 0, 1])
  })

  test('that leaves in the middle of a message keeps nobody else from being sent to', async () => {
    const { client, memoryLog } = await reading(0)
    await appendBatch(memoryLog, 0, [{ body: Buffer.alloc(200_000) }])
    await appendBatch(memoryLog, 1, [{ body: Buffer.from('other') }])
    client.say(flowFrame(0, 2, 10, 0, { nextIncomingId: 1, incomingWindow: 2 }))
    await expect
      .poll(async () => ofKind(await client.answers(), performatives.transfer).length, { interval: 1 })
      .toBe(2)
    client.say(attachFrame(0, 3, partition(1), { receives: true }))
    await settled(client)
    client.say(flowFrame(0, 3, 10, 0, { nextIncomingId: 3, incomingWindow: 0 }))
    expect(bodies(await settled(client))).toEqual([])
    client.say(frame(0, performatives.detach, [uint(2), true]))
    client.say(flowFrame(0, 3, 10, 0, { nextIncomingId: 3, incomingWindow: 5 }))
    const answers = await settled(client)
    expect(bodies(answers)).toEqual(['other'])
    expect(ofKind(answers, performatives.transfer)[0]?.performative.number(1)).toBe(2)
  })

  test('goes on in a record where it was, though other routes are in force by then', async () => {
    const routes = new BuiltInEndpoint({
      ...{ hubName: 'hub', reader: new BlockReader(), interpreted: false, begin: async () => {} },
      twins: new SenderTwins({ reader: new FakeTwins(), clock: systemClock, ageMsMax: 0 }),
    })
    const whereN = (condition: string) =>
      routes.apply(routes.revision + 2, {
        ...emptyRouting,
        routes: [{ name: 'r', source: 'DeviceMessages', condition, endpointNames: ['events'], isEnabled: true }],
      })
    whereN("n < '8'")
    const { client, memoryLog } = await reading(0, {}, { view: routes.view('telemetry') })
    const numbered = Array.from({ length: 10 }, (_, n) => ({ body: Buffer.from(`${n}`), properties: { n: `${n}` } }))
    await appendBatch(memoryLog, 0, numbered)
    client.say(flowFrame(0, 2, 3))
    expect(bodies(await settled(client))).toEqual(['0', '1', '2'])
    whereN("n = '1' OR n = '4' OR n = '9'")
    client.say(flowFrame(0, 2, 10, 3))
    const rest = await settled(client)
    expect(bodies(rest)).toEqual(['4', '9'])
    expect(messagesIn(rest).map(({ annotations }) => annotations.get('x-opt-sequence-number'))).toEqual([4, 9])
  })

  test('is sent what is new, and what it granted is given back if it wants', async () => {
    const { client, memoryLog } = await reading(1, { selector: "amqp.annotation.x-opt-offset > '@latest'" })
    client.say(flowFrame(0, 2, 5))
    expect(bodies(await settled(client))).toEqual([])
    await appendBatch(memoryLog, 0, [{ body: Buffer.from('new') }])
    await expect.poll(async () => bodies(await client.answers())).toEqual(['new'])
    client.say(
      frame(0, performatives.flow, [uint(0), uint(2048), uint(0), uint(2048), uint(2), uint(1), uint(4), null, true]),
    )
    const [flow] = ofKind(await settled(client), performatives.flow)
    expect([flow?.performative.number(5), flow?.performative.number(6)]).toEqual([5, 0])
  })

  test('whose position is of a log that was made anew, and has not grown as far, is told so', async () => {
    const { client, memoryLog } = await reading(3)
    client.say(flowFrame(0, 2, 100))
    expect(bodies(await settled(client))).toHaveLength(30)
    memoryLog.store.makeAnew()
    await appendBatch(memoryLog, 0, [{ body: Buffer.from('of another log') }])
    await expect.poll(async () => conditionsIn(await client.answers())).toEqual(['com.microsoft:argument-error'])
  })

  test('grants as many as a number can say, and knows large messages by tags of their own', async () => {
    const { client, memoryLog } = await reading(0, { settleMode: 0 })
    const body = Buffer.alloc(100_000)
    await appendBatch(memoryLog, 0, [{ body }, { body }])
    client.say(flowFrame(0, 2, 0xffff_ffff))
    const tags = new Set<string>()
    await expect
      .poll(async () => {
        for (const { performative } of ofKind(await client.answers(), performatives.transfer))
          tags.add(String(performative.at(2)))
        return tags.size
      })
      .toBe(2)
  })

  test('is not sent to while devices wait for the log', async () => {
    const { client, edge } = await reading(2)
    let full = true
    Object.defineProperty(edge.batcher, 'full', { get: () => full })
    client.say(flowFrame(0, 2, 5))
    expect(bodies(await settled(client))).toEqual([])
    full = false
    await expect.poll(async () => bodies(await client.answers())).toHaveLength(5)
  })

  test('gets what can be read of a log that holds what is no batch', async () => {
    const { client, memoryLog } = await reading(1)
    const stamp = {
      schemaVersion: 1,
      edgeId: 'e',
      epoch: 1,
      sequence: 99,
      messageCount: 3,
      enqueuedAtMsFirst: 0,
      enqueuedAtMsLast: 0,
    }
    await memoryLog.append(0, stamp, Buffer.from('no batch'))
    await appendBatch(memoryLog, 0, [{ body: Buffer.from('behind') }])
    client.say(flowFrame(0, 2, 50))
    const read = messagesIn(await settled(client))
    expect([read.length, String(read.at(-1)?.body), read.at(-1)?.annotations.get('x-opt-sequence-number')]).toEqual([
      11,
      'behind',
      sequenceOf(2, 0),
    ])
  })
})

describe('what services send and are told', () => {
  const answer = (status: number, text = '', headers = {}): ServiceAnswer => ({
    status,
    headers,
    body: Buffer.from(text),
  })
  const refused = (name: string): string => JSON.stringify({ Message: `ErrorCode:${name};why` })
  const command = (deliveryId: number, to: string | null, body = 'x'): Buffer =>
    transferFrame({
      ...{ handle: 2, deliveryId },
      payload: writeMessage({
        properties: { messageId: 'm', to, userId: Buffer.from('u'), expiry: new Date(1_000) },
        applicationProperties: [
          ['Level', 'high'],
          ['iothub-ack', 'full'],
        ],
        body: Buffer.from(body),
      }),
    })

  test('commands are asked of the service API by the token that was put, each with its outcome', async () => {
    const asked: ServiceRequest[] = []
    const outcomes = [
      answer(204),
      answer(404, refused('DeviceNotFound')),
      answer(403, refused('DeviceMaximumQueueDepthExceeded')),
      answer(503),
    ]
    const requests = async (request: ServiceRequest) => {
      asked.push(request)
      return outcomes[asked.length - 1] ?? answer(204)
    }
    const token = tokenFor('localhost')
    const { client } = await clientWith(servicesFixture({ requests }), token)
    client.say(attachFrame(0, 2, '/messages/devicebound'))
    await settled(client)
    client.say(
      ...['a', 'b', 'c', 'd'].map((id, index) => command(index, `/devices/${id}/messages/devicebound`)),
      command(4, null),
    )
    const answers = await settled(client)
    expect(conditionsIn(answers)).toEqual([
      'com.microsoft:argument-error',
      'amqp:not-found',
      'amqp:resource-limit-exceeded',
      'com.microsoft:timeout',
    ])
    expect(asked).toHaveLength(4)
    expect(asked[0]).toMatchObject({ method: 'POST', path: '/api/commands', authorization: token })
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual({
      to: '/devices/a/messages/devicebound',
      ack: 'full',
      systemProperties: { mid: 'm', uid: 'u', exp: '1970-01-01T00:00:01.000Z' },
      properties: { Level: 'high' },
      body: Buffer.from('x').toString('base64'),
    })
  })

  test('feedback is one receiver’s until it settles it, gives it back or ends', async () => {
    const asked: string[] = []
    let next = 0
    const requests = async ({ method, path }: ServiceRequest) => {
      asked.push(`${method} ${path}`)
      if (method !== 'GET') return answer(204)
      const headers = { etag: `"lock-${next}"`, 'iothub-userid': 'hub', 'content-type': 'a/b' }
      return next++ < 3 ? answer(200, `[${next}]`, headers) : answer(204)
    }
    const { client } = await clientWith(servicesFixture({ requests }), tokenFor('localhost'))
    client.say(attachFrame(0, 2, '/messages/serviceBound/feedback', { receives: true }), flowFrame(0, 2, 5))
    const transfers = ofKind(await settled(client), performatives.transfer)
    expect(transfers.map(({ payload }) => String(new ReadMessage(payload, 0, payload.length).body))).toEqual([
      '[1]',
      '[2]',
      '[3]',
    ])
    const outcome = (index: number, code: number) =>
      frame(0, performatives.disposition, [
        true,
        uint(transfers[index]?.performative.number(1) ?? 0),
        null,
        true,
        described(code, new Encoded(Buffer.from([0x45]))),
      ])
    const path = '/messages/serviceBound/feedback'
    asked.length = 0
    client.say(outcome(0, 0x24), outcome(1, 0x26))
    await settled(client)
    client.connection.onClosed()
    await settled(client)
    expect(asked.filter((each) => !each.startsWith('GET'))).toEqual([
      `DELETE ${path}/lock-0`,
      `POST ${path}/lock-1/abandon`,
      `POST ${path}/lock-2/abandon`,
    ])
  })
})
